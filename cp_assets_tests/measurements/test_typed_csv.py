from __future__ import annotations

import gzip
import io
from pathlib import Path

import pandas as pd
import pytest

from cp_assets.errors import InputChangedError, MeasurementError
from cp_assets.measurements import typed_csv
from cp_assets.measurements.typed_csv import CsvColumns, TypedRows, open_csv, parse_piece

COLUMNS = CsvColumns(
    name="a.csv",
    compartment="Cells",
    width=4,
    places={"Key": 0, "Whole": 1, "Float": 2, "Text": 3},
    kinds={"Key": "int", "Whole": "int", "Float": "float", "Text": "string"},
    keys=frozenset({"Key"}),
)


def parse(text: str) -> TypedRows:
    return parse_piece(COLUMNS, text.encode(), 10)


def faults(rows: TypedRows) -> list[tuple[str, int | None]]:
    return [(one.reason, one.source_row) for one in rows.rejections]


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "with a fault"])
def test_parse_piece_equals_pandas(slow: bool) -> None:
    text = (
        "1,2,0.1,a\n"
        '2,-3.0,-1e-300,"b, ""c"""\n'
        "3,,inf,d\n"
        '4,0,-Infinity,"two\nlines"\n'
        "5.0,nan,NaN,\n"
        '6,+7,12,"é 日本"\r\n'
        "7,,1e-400,NA\n"
        "\n"
        "8,1e3,.5,007\n"
    )
    found = parse(text + ("9,1,fault,x\n" if slow else ""))
    truth = pd.read_csv(
        io.StringIO(text),
        names=["Key", "Whole", "Float", "Text"],
        dtype={"Key": "float", "Whole": "float", "Float": "float", "Text": "str"},
    )
    assert faults(found) == ([("not_a_number", 19)] if slow else [])
    assert found.lines == 8 + slow
    assert found.rows["source_row"].to_pylist() == list(range(11, 19))
    table = found.rows.to_pandas()
    assert [str(one) for one in found.rows.schema.types] == [
        "int64",
        "int64",
        "double",
        "string",
        "int64",
    ]
    for column in ("Key", "Whole", "Float"):
        pd.testing.assert_series_equal(table[column].astype(float), truth[column])
    assert (
        table["Text"].where(table["Text"].notna(), None).tolist()
        == truth["Text"].where(truth["Text"].notna(), None).str.replace("\r", "").tolist()
    )


@pytest.mark.parametrize("fault", ["", "9,1,fault,x\n"], ids=["fast", "with a fault"])
def test_parse_piece_space_around_numbers_is_nothing(fault: str) -> None:
    found = parse(" 1, 2 , 3.5 , text \n2, ,  ,\n" + fault)
    assert found.rows.drop_columns("source_row").to_pylist() == [
        {"Key": 1, "Whole": 2, "Float": 3.5, "Text": " text "},
        {"Key": 2, "Whole": None, "Float": None, "Text": None},
    ]


def test_parse_piece_whole_numbers_are_exact() -> None:
    values = [2**53 + 1, -(2**53) - 1, 10**18 - 1, 2**53 - 1]
    found = parse("".join(f"{value},{value}.0,1,x\n" for value in values))
    assert found.rows["Key"].to_pylist() == values
    assert found.rows["Whole"].to_pylist() == values
    assert found.rejections == ()


def test_parse_piece_rows_that_do_not_fit_are_recorded() -> None:
    found = parse(
        "1,1,1,ok\n"
        "2,1,1\n"
        ",1,1,no key\n"
        "x,1,1,no key\n"
        "5,1.5,1,fraction\n"
        "6,x,1,text\n"
        "7,1,large,text\n"
        "8,12345678901234567890,1,too large\n"
        "9,inf,1,infinite\n"
        "10,1,1,1,1\n"
        "11,1,1,ok\n"
    )
    assert sorted(faults(found), key=lambda one: one[1] or 0) == [
        ("column_count", 12),
        ("no_key", 13),
        ("no_key", 14),
        ("not_a_whole_number", 15),
        ("not_a_whole_number", 16),
        ("not_a_number", 17),
        ("not_a_whole_number", 18),
        ("not_a_whole_number", 19),
        ("column_count", 20),
    ]
    details = {one.source_row: one.detail for one in found.rejections}
    assert details[12] == "the row has 3 values, the header 4"
    assert details[13] == "Key is empty: it identifies the row"
    assert details[17].startswith("Float is 'large': expected a number. If the column holds text")
    assert {(one.compartment, one.source_file) for one in found.rejections} == {("Cells", "a.csv")}
    assert found.rows["Key"].to_pylist() == [1, 11]
    assert found.rows["source_row"].to_pylist() == [11, 21]
    assert found.lines == 11


def test_parse_piece_row_with_several_faults_is_recorded_once() -> None:
    assert faults(parse("x,y,z,text\n")) == [("no_key", 11)]


@pytest.mark.parametrize("piece", [b"1,1,1,\xb5m\n", b"1,1,1,ok\n2,\xff\n"], ids=["row", "bad row"])
def test_parse_piece_no_text_in_utf8_is_an_error(piece: bytes) -> None:
    with pytest.raises(MeasurementError, match=r"a\.csv is not CSV text in UTF-8"):
        parse_piece(COLUMNS, piece, 0)


def test_parse_piece_takes_only_the_columns_named() -> None:
    columns = CsvColumns("a.csv", None, 3, {"b": 1}, {"b": "float"})
    rows = parse_piece(columns, b"x,1,y\nx,2,y\n", 0).rows
    assert rows.to_pydict() == {"b": [1.0, 2.0], "source_row": [1, 2]}


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfea\n1\n", "is not CSV text in UTF-8"),
        (b'a,"b\n', "is not CSV text in UTF-8"),
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
    monkeypatch.setattr(typed_csv, "_MAX_LINE", 100)
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(MeasurementError, match=message), open_csv(path, "a.csv") as text:
        list(text.pieces(10))


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"a\n" * 999)[:-9], b""])
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
