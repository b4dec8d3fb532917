from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cp_assets.datasets.text_tables import TextTable
from cp_assets.errors import MeasurementError


def read(path: Path) -> list[list[str | None]]:
    return [row for _, row in TextTable.of(path).rows()]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("map.txt", b"well\tdose\nA01\t5\nB02\t\n"),
        ("map.csv", b"well,dose\nA01,5\nB02,\n"),
        ("bom.csv", b"\xef\xbb\xbfwell,dose\nA01,5\nB02,\n"),
        ("crlf.txt", b"well\tdose\r\nA01\t5\r\nB02\t\r\n"),
        ("quoted.tsv", b'well\tdose\n"A01"\t"5"\n"B02"\t""\n'),
        ("short.tsv", b"well\tdose\nA01\t5\n\nB02\n"),
        ("spaces.csv", b" well ,dose \nA01,5\nB02,NA\n"),
        ("trailing.csv", b"well,dose\nA01,5,,\nB02,nan,\n"),
        ("commas.txt", b"well,dose\nA01,5\nB02,\n"),
        ("semicolons.csv", b"well;dose\nA01;5\nB02;\n"),
        ("end.csv", b"well,dose\nA01,5\nB02,"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_table_is_read_whatever_wrote_it(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert TextTable.of(path).columns == ("well", "dose")
    assert read(path) == [["A01", "5"], ["B02", None]]
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(content))
    assert read(packed) == read(path)


def test_quoted_tabs_quotes_and_line_breaks_are_those_of_pandas(tmp_path: Path) -> None:
    path = tmp_path / "map.txt"
    frame = pd.DataFrame({"well": ["A01", "B02"], "what": ['a\t"b"', "\u00b5\né"]})
    frame.to_csv(path, sep="\t", index=False)
    assert read(path) == frame.to_numpy().tolist()


def test_typed_values_become_the_text_that_a_person_would_write(tmp_path: Path) -> None:
    columns = {
        "plate": [1053597806.0, None],
        "count": [2**60 + 1, 0],
        "dose": [0.1, float("nan")],
        "is_control": [True, None],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet") == [
        ["1053597806", "1152921504606846977", "0.1", "True"],
        [None, "0", None, None],
    ]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("latin.csv", "well,dose\nA01,5 \u00b5M\n".encode("latin-1"), "in UTF-8"),
        ("open.csv", b'well,dose\nA01,"5\nB02,6\n', "unexpected end of data"),
        ("no.parquet", b"well,dose\n", r"or Parquet \(\.parquet\)"),
        ("no.csv.gz", b"well,dose\n", "Save it again"),
    ],
)
def test_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MeasurementError, match=f"{name} cannot be read .*{told}"):
        read(tmp_path / name)


def test_repeated_column_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("well,dose,dose\n")
    with pytest.raises(MeasurementError, match="'dose' more than once"):
        TextTable.of(tmp_path / "t.csv")


def test_empty_file_has_no_column(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"")
    assert TextTable.of(tmp_path / "t.csv").columns == ()
    assert read(tmp_path / "t.csv") == []
