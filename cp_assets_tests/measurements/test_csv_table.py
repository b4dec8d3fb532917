from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cp_assets.datasets import TableFile
from cp_assets.datasets.presets import COMBINED_CSV
from cp_assets.errors import InputChangedError, MeasurementError
from cp_assets.measurements.chunks import TableChunk
from cp_assets.measurements.columns import ADDED
from cp_assets.measurements.csv_table import CsvTable
from cp_assets.measurements.table_rules import TableName
from cp_assets_tests.files import one_plate
from cp_assets_tests.measurements.reading import raw_table

HEADER = "ImageNumber,ObjectNumber,Area\n"

Read = Callable[..., TableChunk]


def read_csv_table(path: Path, table: TableName, overrides: dict[str, str]) -> TableChunk:
    (whole,) = CsvTable(TableFile(path), table, overrides).chunks(chunk_bytes=None)
    return whole


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads text or bytes as the file Cells.csv."""

    def read_text(content: str | bytes, compartment: str = "Cells", **overrides: str) -> TableChunk:
        path = tmp_path / f"{compartment}.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_csv_table(path, TableName(f"a/{path.name}", compartment), overrides)

    return read_text


def faults(table: TableChunk) -> list[tuple[str, int | None]]:
    return [(rejection.reason, rejection.source_row) for rejection in table.rejections]


def test_read_csv_table_types_and_rows(read: Read) -> None:
    table = read(HEADER + "1,1,2.5\n1,2,3\n")
    assert table.rejections == ()
    assert table.rows.to_pydict() == {
        "ImageNumber": [1, 1],
        "ObjectNumber": [1, 2],
        "Area": [2.5, 3.0],
        "source_row": [1, 2],
    }
    assert [str(f.type) for f in table.rows.schema] == ["int64", "int64", "double", "int64"]


def test_read_csv_table_empty_file(read: Read) -> None:
    table = read("")
    (rejection,) = table.rejections
    assert (rejection.kind, rejection.reason) == ("file", "empty_file")
    assert (rejection.outcome, rejection.source_file) == ("rejected", "a/Cells.csv")
    assert table.rows.num_rows == 0


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_read_csv_table_header_only(read: Read, end: str) -> None:
    table = read(HEADER.rstrip() + end)
    assert faults(table) == [("header_only", None)]
    assert table.rejections[0].outcome == "incomplete"


@pytest.mark.parametrize(
    ("content", "compartment", "message"),
    [
        ("ImageNumber,Area\n1,2\n", "Cells", "a/Cells.csv has no column ObjectNumber"),
        ("Area\n1\n", "Cells", "no column ImageNumber and no column ObjectNumber"),
        ("ObjectNumber\n1\n", "Image", "a/Image.csv has no column ImageNumber"),
        (HEADER.strip() + ",Area\n1,1,1,1\n", "Cells", "has the column 'Area' more than once"),
        (b"\xff\xfe\x00bad", "Cells", "is not CSV text in UTF-8"),
        (HEADER.encode() + b"1,1,\xb5\n", "Cells", "a/Cells.csv .*UTF"),
    ],
    ids=["no object", "no keys", "no image", "repeated", "header not UTF-8", "row not UTF-8"],
)
def test_read_csv_table_unusable_file_is_an_error(
    read: Read, content: str | bytes, compartment: str, message: str
) -> None:
    with pytest.raises(MeasurementError, match=message):
        read(content, compartment)


def test_read_csv_table_text_not_utf8_late_in_the_file_is_an_error(read: Read) -> None:
    rows = "".join(f"1,{number},1.0,text\n" for number in range(1, 4000))
    header = "ImageNumber,ObjectNumber,Area,Metadata_Note\n"
    with pytest.raises(MeasurementError, match="cannot be read as CSV"):
        read((header + rows).encode() + b"1,4000,1.0,\xb5m\n")


def test_read_csv_table_rows_of_another_length_are_rejected(read: Read) -> None:
    table = read(HEADER + "1,1,1\n1,2\n1,3,3,3\n1,4,4\n")
    assert faults(table) == [("column_count", 2), ("column_count", 3)]
    assert "the row has 2 values, the header 3" in table.rejections[0].detail
    assert table.rows["source_row"].to_pylist() == [1, 4]
    assert table.rows["ObjectNumber"].to_pylist() == [1, 4]


def test_read_csv_table_text_in_a_feature_rejects_the_row(read: Read) -> None:
    table = read(HEADER + "1,1,1\n1,2\n1,3,large\n1,4,1e-3\n")
    assert sorted(faults(table)) == [("column_count", 2), ("not_a_number", 3)]
    fault = next(one for one in table.rejections if one.reason == "not_a_number")
    assert "Area is 'large': expected a number" in fault.detail
    assert table.rows.select(["ObjectNumber", "Area", "source_row"]).to_pylist() == [
        {"ObjectNumber": 1, "Area": 1.0, "source_row": 1},
        {"ObjectNumber": 4, "Area": 0.001, "source_row": 4},
    ]


def test_read_csv_table_feature_that_is_text_may_be_said_so(read: Read) -> None:
    table = read(HEADER + "1,1,large\n", Area="string")
    assert table.rows["Area"].to_pylist() == ["large"]


@pytest.mark.parametrize("text", ["nan", "NaN", "NAN", "", '""'])
def test_read_csv_table_no_value_is_null(read: Read, text: str) -> None:
    table = read(HEADER + f"1,1,{text}\n")
    assert table.rejections == ()
    assert table.rows["Area"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12), ("12.0", 12), ("1.2e1", 12), ("", None), ("nan", None), ("-1", -1)],
)
def test_read_csv_table_whole_numbers(read: Read, text: str, value: int | None) -> None:
    table = read(f"ImageNumber,ObjectNumber,Parent_Nuclei\n1,1,{text}\n")
    assert table.rows["Parent_Nuclei"].to_pylist() == [value]
    assert table.rows.schema.field("Parent_Nuclei").type == pa.int64()


@pytest.mark.parametrize("text", ["1.5", "inf", "", "nan", "1e19", "9223372036854775808"])
@pytest.mark.parametrize("column", ["ImageNumber", "ObjectNumber"])
def test_read_csv_table_key_that_is_no_whole_number_rejects_the_row(
    read: Read, text: str, column: str
) -> None:
    keys = {"ImageNumber": "1", "ObjectNumber": "1", column: text}
    table = read(HEADER + f"{keys['ImageNumber']},{keys['ObjectNumber']},5\n1,2,6\n")
    assert faults(table) == [("no_key", 1)]
    assert column in table.rejections[0].detail
    assert table.rows["Area"].to_pylist() == [6.0]


def test_read_csv_table_fraction_in_a_count_rejects_the_row(read: Read) -> None:
    table = read("ImageNumber,ObjectNumber,Parent_Nuclei\n1,1,2.5\n")
    assert faults(table) == [("not_a_whole_number", 1)]


@pytest.mark.parametrize("column", ["Frame_DNA", "Series_DNA", "Height_DNA", "Width_DNA"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1.5", "not_a_whole_number"),
        ("inf", "not_a_whole_number"),
        ("1e19", "not_a_whole_number"),
        ("None given", "not_a_number"),
        ("0x10", "not_a_number"),
    ],
)
def test_read_csv_table_odd_value_of_an_image_costs_that_value_alone(
    read: Read, column: str, text: str, reason: str
) -> None:
    content = f"ImageNumber,{column},FileName_DNA\n1,{text},a.tif\n2,7,b.tif\n3,,c.tif\n"
    table = read(content, "Image")
    assert table.rows.to_pylist() == [
        {"ImageNumber": 1, column: None, "FileName_DNA": "a.tif", "source_row": 1},
        {"ImageNumber": 2, column: 7, "FileName_DNA": "b.tif", "source_row": 2},
        {"ImageNumber": 3, column: None, "FileName_DNA": "c.tif", "source_row": 3},
    ]
    (fault,) = table.rejections
    assert (fault.reason, fault.outcome, fault.source_row) == (reason, "incomplete", 1)
    assert column in fault.detail
    assert "the value is left empty" in fault.detail


@pytest.mark.parametrize("odd", ["1.5", "text"])
def test_read_csv_table_each_odd_value_of_an_image_is_recorded(read: Read, odd: str) -> None:
    table = read(f"ImageNumber,Frame_DNA,Frame_ER\n1,{odd},{odd}\n", "Image")
    assert [(one.outcome, one.detail.split()[0]) for one in table.rejections] == [
        ("incomplete", "Frame_DNA"),
        ("incomplete", "Frame_ER"),
    ]
    assert table.rows.num_rows == 1


@pytest.mark.parametrize("odd", ["1.5", "text"])
@pytest.mark.parametrize("key", ["", "1.5", "text"])
def test_read_csv_table_image_without_a_key_is_rejected_once(
    read: Read, key: str, odd: str
) -> None:
    table = read(f"Frame_DNA,ImageNumber\n{odd},{key}\n3,2\n", "Image")
    (fault,) = table.rejections
    assert (fault.outcome, fault.source_row) == ("rejected", 1)
    assert table.rows["ImageNumber"].to_pylist() == [2]


@pytest.mark.parametrize("odd", ["", "x,2,5,X,9\n"], ids=["as typed", "read as text"])
@pytest.mark.parametrize("compartment", ["Cells", "Image"])
@pytest.mark.parametrize("name", sorted(ADDED))
def test_read_csv_table_column_named_like_a_key_is_left_out(
    read: Read, compartment: str, name: str, odd: str
) -> None:
    content = f"ImageNumber,ObjectNumber,Area,{name},B\n1,1,5,X,7\n{odd}"
    table = read(content, compartment)
    assert table.rows.to_pylist() == [
        {"ImageNumber": 1, "ObjectNumber": 1, "Area": 5.0, "B": 7.0, "source_row": 1}
    ]
    fault = table.rejections[0]
    assert (fault.kind, fault.reason, fault.outcome) == ("file", "column_name_taken", "incomplete")
    assert fault.source_file == f"a/{compartment}.csv"
    assert fault.detail.startswith(f"{name} is a column that every row is given")
    assert len(table.rejections) == (2 if odd else 1)


def test_read_csv_chunks_say_once_which_column_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "Cells.csv"
    path.write_text("ImageNumber,ObjectNumber,plate_id\n" + "1,1,X\n" * 9)
    tables = list(CsvTable(TableFile(path), TableName(path.name, "Cells")).chunks(chunk_bytes=8))
    assert len(tables) > 1
    assert [len(table.rejections) for table in tables] == [1, *[0] * (len(tables) - 1)]
    assert all(table.rows.column_names[:2] == ["ImageNumber", "ObjectNumber"] for table in tables)
    assert "plate_id" not in tables[-1].rows.column_names


@pytest.mark.parametrize("content", [HEADER + "1,1,2\n1,2,3\n"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("2\n", '"2"\n'),
        lambda text: text.replace("2\n", " 2 \n"),
    ],
    ids=["CRLF", "byte order mark", "no last line end", "quoted numbers", "spaces"],
)
def test_read_csv_table_variants_of_csv(
    read: Read, content: str, change: Callable[[str], str]
) -> None:
    assert read(change(content)).rows.equals(read(content).rows)


def test_read_csv_table_line_breaks_in_quotes(read: Read) -> None:
    text = 'ImageNumber,Metadata_Note,Count_Cells\n1,"two\nlines, one value",3\n2,plain,4\n'
    table = read(text, "Image")
    assert table.rejections == ()
    assert table.rows["Metadata_Note"].to_pylist() == ["two\nlines, one value", "plain"]
    assert table.rows["source_row"].to_pylist() == [1, 2]


def test_read_csv_table_values_equal_those_of_pandas(read: Read, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    values = random.standard_normal(500) * 10.0 ** random.integers(-300, 300, 500)
    rows = "".join(f"1,{number},{value!r}\n" for number, value in enumerate(values.tolist(), 1))
    table = read(HEADER + rows)
    truth = pd.read_csv(tmp_path / "Cells.csv", float_precision="round_trip")
    np.testing.assert_array_equal(table.rows["Area"].to_numpy(), truth["Area"].to_numpy())


@pytest.mark.parametrize("chunk_bytes", [1, 20, 100, 10**6])
def test_read_csv_chunks_equal_the_whole(tmp_path: Path, chunk_bytes: int) -> None:
    lines = [f"{image},{number},{number / 7}\n" for image in (1, 2) for number in range(1, 12)]
    lines[3], lines[9], lines[15] = "1,4\n", "1,10,text\n", "2,1.5,3\n"
    path = tmp_path / "Cells.csv"
    path.write_text(HEADER + "".join(lines))
    whole = read_csv_table(path, TableName("Cells.csv", "Cells"), {})
    pieces = list(
        CsvTable(TableFile(path), TableName("Cells.csv", "Cells")).chunks(chunk_bytes=chunk_bytes)
    )
    assert pa.concat_tables(piece.rows for piece in pieces).equals(whole.rows)
    together = [rejection for piece in pieces for rejection in piece.rejections]
    assert sorted(together, key=str) == sorted(whole.rejections, key=str)
    assert len(pieces) > 1 or chunk_bytes == 10**6
    assert {r.source_row for r in whole.rejections} == {4, 10, 16}


def test_read_csv_table_file_changed_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "Image.csv"
    path.write_text("ImageNumber\n1\n")
    from cp_assets.measurements import csv_pieces

    parse = csv_pieces.parse_piece

    def upload_goes_on(*arguments: object) -> object:
        with path.open("a") as stream:
            stream.write("2\n")
        return parse(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(csv_pieces, "parse_piece", upload_goes_on)
    with pytest.raises(InputChangedError, match=r"Image.csv changed while it was read"):
        read_csv_table(path, TableName("Image.csv", "Image"), {})


def test_read_csv_chunks_file_changed_between_pieces(tmp_path: Path) -> None:
    path = tmp_path / "Cells.csv"
    path.write_text(HEADER + "1,1,1\n1,2,2\n")
    pieces = CsvTable(TableFile(path), TableName("Cells.csv", "Cells")).chunks(chunk_bytes=1)
    next(pieces)
    path.write_text(HEADER + "1,1,1\n1,2,2\n1,3,3\n")
    with pytest.raises(InputChangedError, match="changed while it was read"):
        list(pieces)


@pytest.mark.parametrize("chunk_bytes", [1, 20, 30, None])
def test_read_csv_chunks_line_breaks_in_quotes_at_the_edge_of_a_piece(
    tmp_path: Path, chunk_bytes: int | None
) -> None:
    path = tmp_path / "Cells.csv"
    rows = "".join(f'1,{number},"two\nlines, ""{number}"""\n' for number in range(1, 9))
    path.write_text("ImageNumber,ObjectNumber,Metadata_Note\n" + rows)
    table = TableName(path.name, "Cells")
    pieces = list(CsvTable(TableFile(path), table).chunks(chunk_bytes=chunk_bytes))
    found = pa.concat_tables(piece.rows for piece in pieces)
    assert [piece.rejections for piece in pieces] == [()] * len(pieces)
    assert found["Metadata_Note"].to_pylist() == [f'two\nlines, "{n}"' for n in range(1, 9)]
    assert found["source_row"].to_pylist() == list(range(1, 9))


@pytest.mark.parametrize("chunk_bytes", [1, 30, None])
def test_read_csv_chunks_quote_that_does_not_end_is_an_error(
    tmp_path: Path, chunk_bytes: int | None
) -> None:
    path = tmp_path / "Cells.csv"
    rows = "".join(f"1,{number},text\n" for number in range(2, 9))
    path.write_text('ImageNumber,ObjectNumber,Metadata_Note\n1,1,"open\n' + rows)
    table = TableName("a/Cells.csv", "Cells")
    with pytest.raises(MeasurementError, match=r"a/Cells\.csv: a quoted value does not end"):
        list(CsvTable(TableFile(path), table).chunks(chunk_bytes=chunk_bytes))


@pytest.mark.parametrize("chunk_bytes", [1, 30, None])
def test_read_csv_chunks_quotes_within_a_value_are_its_own(
    tmp_path: Path, chunk_bytes: int | None
) -> None:
    path = tmp_path / "Cells.csv"
    path.write_text('ImageNumber,ObjectNumber,Metadata_Note\n1,1,5" plate\n1,2,"a\nb"\n1,3,c"\n')
    pieces = CsvTable(TableFile(path), TableName(path.name, "Cells")).chunks(
        chunk_bytes=chunk_bytes
    )
    found = pa.concat_tables(piece.rows for piece in pieces)
    assert found["Metadata_Note"].to_pylist() == ['5" plate', "a\nb", 'c"']


@pytest.mark.parametrize("text", ["9007199254740993", "123456789012345678"])
def test_read_csv_table_whole_numbers_that_are_no_float_are_exact(read: Read, text: str) -> None:
    table = read(f"ImageNumber,ObjectNumber,Parent_Nuclei\n1,1,{text}\n")
    assert table.rejections == ()
    assert table.rows["Parent_Nuclei"].to_pylist() == [int(text)]


def test_combined_file_beside_an_image_table_says_so(tmp_path: Path) -> None:
    (tmp_path / "Image.csv").write_text("ImageNumber,Metadata_Well\n1,A01\n")
    (tmp_path / "object.csv").write_text(
        "Image,Image,Cells,Cells\nImageNumber,Metadata_Well,ObjectNumber,A\n1,A01,1,5\n"
    )
    with pytest.raises(MeasurementError, match=r"^object\.csv has two header rows, as Export"):
        raw_table(one_plate(tmp_path), "object")
    alone = one_plate(tmp_path, preset=COMBINED_CSV)
    assert raw_table(alone, "Cells")["A"].to_pylist() == [5.0]
