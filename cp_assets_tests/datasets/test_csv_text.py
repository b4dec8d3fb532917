from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_assets.datasets import csv_text
from cp_assets.datasets.csv_text import open_csv
from cp_assets.errors import InputChangedError, MeasurementError

ROWS = [f'{number},"line\n{number}",{number / 7}\r\n' for number in range(500)]


@pytest.mark.parametrize("size", [1, 7, 100, 10**6])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("end", ["\r\n", ""])
def test_open_csv_pieces_end_with_rows(tmp_path: Path, size: int, name: str, end: str) -> None:
    content = ('\ufeffone,two,"thr\nee"\r\n' + "".join(ROWS)).removesuffix("\r\n") + end
    path = tmp_path / name
    packed = gzip.compress(content.encode()) if name.endswith(".gz") else content.encode()
    path.write_bytes(packed)
    with open_csv(path, name) as text:
        assert text.header == (("one", "two", "thr\nee"),)
        pieces = list(text.pieces(size))
    assert b"".join(pieces).decode() == "".join(ROWS).removesuffix("\r\n") + end
    assert all(piece.count(b'"') % 2 == 0 for piece in pieces)
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])
    assert max(map(len, pieces)) <= size + 2 * max(map(len, ROWS))


@pytest.mark.parametrize("size", [*range(1, 30), None])
def test_open_csv_quotes_within_a_value_open_none(tmp_path: Path, size: int | None) -> None:
    rows = ['1,5" x,text\n', '2,"b","c""d"""\n', '3,,y"\n', '4,5" x" "y",\n', '5,6",z\n']
    rows += ['6,"two\nlines",x\n', '7,"",y\n', '"8","th""r\nee\nlines",z\n', '9,"",\n']
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "".join(rows))
    ends = {sum(map(len, rows[: at + 1])) for at in range(len(rows))}
    with open_csv(path, "a.csv") as text:
        pieces = list(text.pieces(size))
    at = 0
    for piece in pieces:
        at += len(piece)
        assert at in ends
    assert b"".join(pieces).decode() == "".join(rows)


@given(st.text('"",x\n\r', max_size=20))
def test_ends_in_quotes_is_what_letter_by_letter_gives(text: str) -> None:
    state = "start"
    for letter in text:
        if state == "quoted":
            state = "closed" if letter == '"' else "quoted"
        elif letter == '"' and state in ("start", "closed"):
            state = "quoted"
        else:
            state = "start" if letter in ",\n\r" else "plain"
    assert csv_text._ends_in_quotes(text.encode()) == (state == "quoted")


def test_open_csv_quote_within_a_name_opens_no_value(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,5" plate\n1,2\n"3\n",4\n')
    with open_csv(path, "a.csv") as text:
        assert text.header == (("a", '5" plate'),)
        assert list(text.pieces(1)) == [b"1,2\n", b'"3\n",4\n']


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfea\n1\n", "is not CSV text in UTF-8"),
        (b'a,"b\n', "a quoted value does not end within"),
        (b'a\n1\n"' + b"x\n" * 200, "a quoted value does not end within"),
        (b'a\n1\n"x\n', "a quoted value does not end within"),
        (b"a\n" + b"x" * 200 + b"\n", "a line of more than"),
        (b"x" * 200, "a line of more than"),
    ],
    ids=range(6),
)
def test_open_csv_what_is_no_csv_is_an_error(
    tmp_path: Path, content: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_text, "_MAX_LINE", 100)
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(MeasurementError, match=message), open_csv(path, "a.csv") as text:
        list(text.pieces(10))


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"a\n" * 999, mtime=0)[:-9], b""])
def test_open_csv_damaged_compression_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(content)
    if content:
        with (
            pytest.raises(MeasurementError, match="its compression is damaged"),
            open_csv(path, "a.csv.gz") as text,
        ):
            list(text.pieces(10**6))
    else:
        with open_csv(path, "a.csv.gz") as text:
            assert text.header == ()


def test_open_csv_file_that_changes_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    opened = open_csv(path, "a.csv")
    opened.__enter__()
    path.write_text("a\n1\n2\n")
    with pytest.raises(InputChangedError, match="changed while it was read"):
        opened.__exit__(None, None, None)
