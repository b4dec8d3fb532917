from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cp_assets.datasets import TableFile
from cp_assets.datasets.combined_header import is_combined_csv, read_combined_header
from cp_assets.errors import MeasurementError
from cp_assets.measurements.combined_csv import CombinedCsvTable
from cp_assets.measurements.table_rules import TableName
from cp_assets.rejections import Rejection

COLUMNS = [
    *(("Image", "ImageNumber"), ("Cells", "ObjectNumber")),
    *(("Image", "Metadata_Well"), ("Image", "FileName_DNA")),
    *(("Cells", "AreaShape_Area"), ("Cells", "Parent_Nuclei"), ("Cells", "Number_Object_Number")),
    *(("Nuclei", "AreaShape_Area"), ("Nuclei", "Intensity_Mean, DNA")),
]


def image_set(number: int, cells: int, nuclei: int, well: str) -> list[list[object]]:
    """Rows as ExportToSpreadsheet writes them: the n-th objects side by side."""
    rows: list[list[object]] = []
    for at in range(1, max(cells, nuclei) + 1):
        cell = [100 + at + 0.5, float(at), at] if at <= cells else [np.nan] * 3
        nucleus = [number + at / 3, np.inf] if at <= nuclei else [np.nan] * 2
        rows.append([number, at, well, f'"{well}",\n1.tif', *cell, *nucleus])
    return rows


ROWS = [*image_set(1, 3, 2, "A01"), *image_set(2, 1, 4, "a02"), *image_set(4, 2, 2, "é")]


def write(
    path: Path,
    rows: Sequence[Sequence[object]] = ROWS,
    columns: Sequence[tuple[str, str]] = COLUMNS,
    nan: str = "nan",
    end: str = "\r\n",
) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator=end)
        for part in (0, 1):
            writer.writerow([column[part] for column in columns])
        for row in rows:
            writer.writerow([nan if isinstance(v, float) and np.isnan(v) else v for v in row])
    return path


def read(path: Path, compartment: str, **options: int) -> tuple[pa.Table, list[Rejection]]:
    table = TableName(f"x/{path.name}", compartment)
    chunks = list(CombinedCsvTable(TableFile(path, compartment), table).chunks(**options))
    tables = pa.concat_tables([chunk.rows for chunk in chunks], promote_options="default")
    return tables, [rejection for chunk in chunks for rejection in chunk.rejections]


def faults(rejections: list[Rejection]) -> list[tuple[str, int | None]]:
    return [(one.reason, one.source_row) for one in rejections]


def test_read_combined_header(tmp_path: Path) -> None:
    header = read_combined_header(write(tmp_path / "object.csv"), "object.csv")
    assert header.compartments == ("Image", "Cells", "Nuclei")
    assert list(header.columns) == COLUMNS


@pytest.mark.parametrize("size", [1, 150, 10**6])
@pytest.mark.parametrize(("nan", "end"), [("nan", "\r\n"), ("", "\n")])
@pytest.mark.parametrize("compartment", ["Cells", "Nuclei"])
def test_read_combined_chunks_objects_equal_pandas(
    tmp_path: Path, compartment: str, size: int, nan: str, end: str
) -> None:
    path = write(tmp_path / "object.csv", nan=nan, end=end)
    rows, rejections = read(path, compartment, chunk_bytes=size)
    both = pd.read_csv(path, header=[0, 1])
    own = [column for column in COLUMNS if column[0] == compartment and column[1] != "ObjectNumber"]
    there = both[own].notna().any(axis=1)
    keys = both[[("Image", "ImageNumber"), ("Cells", "ObjectNumber")]]
    truth = pd.concat([keys, both[own]], axis=1)
    truth.columns = ["ImageNumber", "ObjectNumber", *(column for _, column in own)]
    truth["source_row"] = range(1, len(truth) + 1)
    truth = truth[there].reset_index(drop=True)
    assert rejections == []
    pd.testing.assert_frame_equal(
        rows.to_pandas().select_dtypes("number"), truth, check_dtype=False
    )
    assert rows["ImageNumber"].type == pa.int64()
    if compartment == "Cells":
        assert rows["Parent_Nuclei"].to_pylist() == [1, 2, 3, 1, 1, 2]
        assert [str(one) for one in rows.schema.types[:5]] == [
            *("int64", "int64", "double", "int64", "int64"),
        ]


@pytest.mark.parametrize("size", [1, 150, 10**6])
def test_read_combined_chunks_image_sets_are_given_once(tmp_path: Path, size: int) -> None:
    rows, rejections = read(write(tmp_path / "object.csv"), "Image", chunk_bytes=size)
    assert rejections == []
    assert rows.to_pylist() == [
        {
            "ImageNumber": number,
            "Metadata_Well": well,
            "FileName_DNA": f'"{well}",\n1.tif',
            "source_row": row,
        }
        for number, well, row in ((1, "A01", 1), (2, "a02", 4), (4, "é", 8))
    ]


def test_read_combined_chunks_image_set_that_contradicts_itself_is_given_twice(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "object.csv", [*ROWS, *image_set(2, 1, 1, "B07")])
    rows, _ = read(path, "Image", chunk_bytes=100)
    assert rows["ImageNumber"].to_pylist() == [1, 2, 4, 2]


def test_read_combined_chunks_faults_cost_the_compartments_row_alone(tmp_path: Path) -> None:
    bad = [list(row) for row in image_set(1, 4, 4, "A01")]
    bad[0][4] = "large"
    bad[1][8] = "dark"
    bad[2][0] = ""
    path = write(tmp_path / "object.csv", [*bad, [1, 2, 3]])
    cells, cell_faults = read(path, "Cells")
    nuclei, nucleus_faults = read(path, "Nuclei")
    images, image_faults = read(path, "Image")
    assert sorted(faults(cell_faults)) == [("column_count", 5), ("no_key", 3), ("not_a_number", 1)]
    assert sorted(faults(nucleus_faults)) == [
        *(("column_count", 5), ("no_key", 3), ("not_a_number", 2)),
    ]
    assert {one.compartment for one in nucleus_faults} == {"Nuclei"}
    assert cells["ObjectNumber"].to_pylist() == [2, 4]
    assert nuclei["ObjectNumber"].to_pylist() == [1, 4]
    assert images.num_rows == 1
    assert image_faults == []


def test_read_combined_chunks_object_without_a_measurement_is_kept(tmp_path: Path) -> None:
    rows = [[1, 1, "A01", "f", np.nan, np.nan, 1, np.nan, np.nan]]
    path = write(tmp_path / "object.csv", rows)
    assert read(path, "Cells")[0].num_rows == 1
    assert read(path, "Nuclei")[0].num_rows == 0


def test_read_combined_chunks_compartments_with_numbers_of_their_own(tmp_path: Path) -> None:
    columns = [
        *(("Image", "ImageNumber"), ("Image", "Count_Cells"), ("Cells", "ObjectNumber")),
        *(("Cells", "Area"), ("Nuclei", "ObjectNumber"), ("Nuclei", "Area")),
    ]
    rows = [[1, 2, 1, 10, 7, 20], [1, 2, 2, 11, "", ""], [1, 2, 3, 12, "", 22]]
    path = write(tmp_path / "object.csv", rows, columns)
    cells, cell_faults = read(path, "Cells")
    nuclei, nucleus_faults = read(path, "Nuclei")
    assert cells["ObjectNumber"].to_pylist() == [1, 2, 3]
    assert cell_faults == []
    assert nuclei.to_pylist() == [
        {"ImageNumber": 1, "ObjectNumber": 7, "Area": 20.0, "source_row": 1}
    ]
    assert faults(nucleus_faults) == [("no_key", 3)]
    assert read(path, "Image")[0].to_pylist() == [
        {"ImageNumber": 1, "Count_Cells": 2, "source_row": 1}
    ]


def test_read_combined_chunks_column_of_an_added_name_is_left_out(tmp_path: Path) -> None:
    columns = [*COLUMNS, ("Cells", "source_row")]
    rows, rejections = read(write(tmp_path / "a.csv", [[*ROWS[0], 77]], columns), "Cells")
    assert rows["source_row"].to_pylist() == [1]
    (rejection,) = rejections
    assert (rejection.reason, rejection.outcome) == ("column_name_taken", "incomplete")
    assert read(tmp_path / "a.csv", "Nuclei")[1] == []


def test_read_combined_chunks_types_may_be_said(tmp_path: Path) -> None:
    path = write(tmp_path / "object.csv")
    overrides = {"AreaShape_Area": "string"}
    source = CombinedCsvTable(TableFile(path, "Nuclei"), TableName("a", "Nuclei"), overrides)
    (chunk,) = source.chunks()
    assert chunk.rows["AreaShape_Area"].type == pa.string()


def test_read_combined_chunks_files_without_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "object.csv", [])
    rows, (rejection,) = read(path, "Cells")
    assert rows.num_rows == 0
    assert (rejection.reason, rejection.outcome) == ("header_only", "incomplete")
    path.write_bytes(b"")
    rows, (rejection,) = read(path, "Cells")
    assert rows.num_rows == 0
    assert (rejection.kind, rejection.reason, rejection.outcome) == (
        *("file", "empty_file", "rejected"),
    )
    assert rejection.source_file == "x/object.csv"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ImageNumber,ObjectNumber,Area\n1,1,1\n", "has not the two header rows"),
        ("Image,Cells\nImageNumber,ObjectNumber,Area\n", "has not the two header rows"),
        ("Image,Cells\nImageNumber,Area\n", "ImageNumber and ObjectNumber among them"),
        ("Image,Cells\n", "has not the two header rows"),
        ("Image,\nImageNumber,ObjectNumber\n", "has not the two header rows"),
        (
            "Image,Cells,Cells,Cells\nImageNumber,ObjectNumber,Area,Area\n",
            "the column 'Area' of Cells more than once",
        ),
        ("Image,Cells\nImageNumber,ObjectNumber\n1,1\n", "has no compartment Nuclei; it has Image"),
    ],
    ids=range(7),
)
def test_read_combined_chunks_other_files_are_an_error(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "object.csv"
    path.write_text(content)
    table = TableName("object.csv", "Nuclei")
    with pytest.raises(MeasurementError, match=message):
        list(CombinedCsvTable(TableFile(path, "Nuclei"), table).chunks())


def test_is_combined_csv(tmp_path: Path, test_data: Path) -> None:
    assert is_combined_csv(write(tmp_path / "object.csv"))
    assert not is_combined_csv(test_data / "example_human" / "Cells.csv")
    (tmp_path / "a.csv").write_bytes(b"\xff\xff\n\n")
    assert not is_combined_csv(tmp_path / "a.csv")


def test_read_combined_chunks_real_tables_side_by_side(tmp_path: Path, test_data: Path) -> None:
    tables = {
        name: pd.read_csv(test_data / "example_human" / f"{name}.csv")
        for name in ("Cells", "Nuclei", "Cytoplasm")
    }
    parts = [
        table.drop(columns=["ImageNumber", "ObjectNumber"])
        if name != "Cells"
        else table.drop(columns="ImageNumber")
        for name, table in tables.items()
    ]
    number = pd.DataFrame({("Image", "ImageNumber"): tables["Cells"]["ImageNumber"]})
    combined = pd.concat([number, pd.concat(parts, axis=1, keys=list(tables))], axis=1)
    combined.columns = pd.MultiIndex.from_tuples(combined.columns)
    path = tmp_path / "object.csv"
    combined.to_csv(path, index=False)
    for name, table in tables.items():
        rows, rejections = read(path, name, chunk_bytes=100_000)
        assert rejections == []
        found = rows.to_pandas()[list(table.columns)]
        pd.testing.assert_frame_equal(found, table, check_dtype=False, rtol=1e-15)


@pytest.mark.parametrize("size", [1, 10**6])
def test_read_combined_chunks_odd_value_of_an_image_costs_that_value_alone(
    tmp_path: Path, size: int
) -> None:
    columns = [*COLUMNS[:3], ("Image", "Frame_DNA"), *COLUMNS[4:]]
    rows = [[*row[:3], "1.5", *row[4:]] for row in image_set(1, 3, 3, "A01")]
    found, rejections = read(
        write(tmp_path / "object.csv", rows, columns), "Image", chunk_bytes=size
    )
    assert found["Frame_DNA"].to_pylist() == [None]
    (fault,) = rejections
    assert (fault.reason, fault.outcome) == ("not_a_whole_number", "incomplete")
