"""Parquet and gzipped CSV: the same rules as plain CSV."""

from __future__ import annotations

import gzip
import math
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cp_assets.datasets import TableFile
from cp_assets.errors import InputChangedError, MeasurementError
from cp_assets.measurements.chunks import TableChunk
from cp_assets.measurements.csv_table import CsvTable
from cp_assets.measurements.parquet_table import ParquetTable
from cp_assets.measurements.table_rules import TableName

CELLS = TableName("a/Cells", "Cells")


def read(path: Path, columns: dict[str, object], **options: object) -> TableChunk:
    """A file of these columns, all pieces as one."""
    length = max(len(values) for values in columns.values())  # type: ignore[arg-type]
    keys = {"ImageNumber": [1] * length, "ObjectNumber": list(range(1, length + 1))}
    pq.write_table(pa.table({**keys, **columns}), path, row_group_size=3)
    pieces = list(ParquetTable(TableFile(path), CELLS).chunks(**options))  # type: ignore[arg-type]
    rejections = tuple(rejection for piece in pieces for rejection in piece.rejections)
    return TableChunk(pa.concat_tables([piece.rows for piece in pieces]), rejections)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1.5, math.nan, None, math.inf]),
        pa.array([1.5, math.nan, None, math.inf], pa.float32()),
        pa.array(["1.5", "nan", "", "inf"]),
        pa.array(["1.5", "NA", None, " inf"], pa.large_string()),
        pa.array(["1.5", "NA", None, "inf"]).dictionary_encode(),
        pa.array(["1.5", "NA", None, "inf"], pa.string_view()),
    ],
    ids=["double", "float", "text", "large text", "dictionary", "view"],
)
@pytest.mark.parametrize("chunk_bytes", [None, 1, 48])
def test_floats_of_every_stored_type(
    tmp_path: Path, values: pa.Array, chunk_bytes: int | None
) -> None:
    chunk = read(tmp_path / "Cells.parquet", {"Area": values}, chunk_bytes=chunk_bytes)
    assert chunk.rejections == ()
    assert chunk.rows["Area"].to_pylist() == [1.5, None, None, math.inf]
    assert chunk.rows.schema.field("Area").type == pa.float64()
    assert chunk.rows["source_row"].to_pylist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([2**53 + 1, None, -3]), [2**53 + 1, None, -3]),
        (pa.array([12, None, 3], pa.uint8()), [12, None, 3]),
        (pa.array([12.0, math.nan, 3.0]), [12, None, 3]),
        (pa.array([2**63 - 1, None, 3], pa.uint64()), [2**63 - 1, None, 3]),
        (pa.array([2**60 + 1, None, 3]).cast(pa.decimal128(38)), [2**60 + 1, None, 3]),
        (pa.array(["12", "nan", "9007199254740993"]), [12, None, 2**53 + 1]),
        (pa.array(["+12", "1e3", "9007199254740993.0"]), [12, 1000, 2**53 + 1]),
    ],
)
def test_whole_numbers_are_exact(
    tmp_path: Path, values: pa.Array, expected: list[int | None]
) -> None:
    chunk = read(tmp_path / "Cells.parquet", {"Parent_Nuclei": values})
    assert chunk.rejections == ()
    assert chunk.rows["Parent_Nuclei"].to_pylist() == expected


def test_what_does_not_fit_costs_its_row(tmp_path: Path) -> None:
    columns = {"Area": ["1", "text", "3"], "Parent_Nuclei": [1.0, 1.0, 2.5]}
    chunk = read(tmp_path / "Cells.parquet", columns)
    assert chunk.rows["ObjectNumber"].to_pylist() == [1]
    assert [(r.reason, r.source_row) for r in chunk.rejections] == [
        ("not_a_number", 2),
        ("not_a_whole_number", 3),
    ]


@pytest.mark.parametrize(
    "values",
    [pa.array([0, None], pa.timestamp("us")), pa.array([0], pa.duration("s")), pa.array([b"a"])],
    ids=["times", "durations", "bytes"],
)
def test_what_is_no_number_is_refused_by_name(tmp_path: Path, values: pa.Array) -> None:
    told = rf"^a/Cells: column When holds {re.escape(str(values.type))}; .* column_types"
    with pytest.raises(MeasurementError, match=told):
        read(tmp_path / "Cells.parquet", {"When": values})
    assert read(tmp_path / "Cells.parquet", {"Metadata_When": values}).rejections == ()


def test_text_of_any_form_is_text(tmp_path: Path) -> None:
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        rows = read(tmp_path / "Cells.parquet", {"Metadata_A": pa.array(["a", "NA"], kind)}).rows
        assert rows["Metadata_A"].equals(pa.chunked_array([["a", None]], pa.string()))


def test_lists_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"a/Cells: column Area holds list"):
        read(tmp_path / "Cells.parquet", {"Area": [[1.0]]})


def test_what_is_no_parquet_says_so(tmp_path: Path) -> None:
    path = tmp_path / "Cells.parquet"
    path.write_bytes(b"no Parquet at all")
    with pytest.raises(MeasurementError, match="a/Cells cannot be read as Parquet"):
        list(ParquetTable(TableFile(path), CELLS).chunks())
    with pytest.raises(MeasurementError, match="a/Cells cannot be read as Parquet"):
        ParquetTable(TableFile(path), CELLS).types()
    path.write_bytes(b"")
    (chunk,) = ParquetTable(TableFile(path), CELLS).chunks()
    assert [r.reason for r in chunk.rejections] == ["empty_file"]
    assert ParquetTable(TableFile(path), CELLS).types() == {}


def test_parquet_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "Cells.parquet"
    read(path, {"Area": [1.0] * 9})
    pieces = ParquetTable(TableFile(path), CELLS).chunks(chunk_bytes=1)
    next(pieces)
    with path.open("ab") as stream:
        stream.write(b"more")
    with pytest.raises((InputChangedError, MeasurementError), match=r"changed|cannot be read"):
        list(pieces)


LINES = b"ImageNumber,ObjectNumber,Area\n" + b"".join(b"1,%d,%d.5\n" % (k, k) for k in range(1, 99))


@pytest.mark.parametrize("chunk_bytes", [None, 1, 100])
def test_gzipped_csv_equals_plain(tmp_path: Path, chunk_bytes: int | None) -> None:
    (tmp_path / "Cells.csv").write_bytes(LINES)
    (tmp_path / "Cells.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + LINES))
    plain, packed = (
        pa.concat_tables(
            [
                piece.rows
                for piece in CsvTable(TableFile(tmp_path / name), CELLS).chunks(
                    chunk_bytes=chunk_bytes
                )
            ]
        )
        for name in ("Cells.csv", "Cells.csv.gz")
    )
    assert packed.equals(plain)
    header = list(CsvTable(TableFile(tmp_path / "Cells.csv.gz"), CELLS).types())
    assert header == plain.column_names[:-1]


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(LINES, mtime=0)[:-20],
        b"no gzip",
        gzip.compress(LINES, mtime=0)[:40] + b"\x00" * 60,
    ],
    ids=["cut short", "no gzip", "damaged"],
)
def test_broken_gzip_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "Cells.csv.gz"
    path.write_bytes(content)
    with pytest.raises(MeasurementError, match="a/Cells: its compression is damaged"):
        list(CsvTable(TableFile(path), CELLS).chunks())


@pytest.mark.parametrize("content", [b"", gzip.compress(b"")], ids=["no bytes", "nothing packed"])
def test_gzip_of_nothing_is_an_empty_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "Cells.csv.gz"
    path.write_bytes(content)
    (chunk,) = CsvTable(TableFile(path), CELLS).chunks()
    assert [r.reason for r in chunk.rejections] == ["empty_file"]
