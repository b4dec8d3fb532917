from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cp_assets import convert, open_warehouse
from cp_assets.datasets.in_carta_names import is_in_carta
from cp_assets.errors import InputChangedError, MeasurementError
from cp_assets.measurements.in_carta import InCartaFile, open_in_carta
from cp_assets.measurements.in_carta_header import InCartaHeader
from cp_assets.measurements.raw import first_columns
from cp_assets.measurements.table_rules import TableName
from cp_assets.rejections import Rejection
from cp_assets_tests.files import one_plate
from cp_assets_tests.measurements.reading import raw_table

IDENTITY = ["Row", "Column", "FOV", "WELL LABEL", "Z", "T", "Plate ID"]
MEASURED = [
    *("Primary Target Area wv1", "Primary Target Intensity/Global Bckg wv1"),
    *("Cells Max width wv3", "Cells Intensity (Cell) wv3", "Cells Neighbor Count (SOI)"),
    *("F Actin Total Area wv2", "F Actin Area wv2", "F Actin Organelle/Cyto Intensity wv2"),
]
OTHERS = ["Class Name", "Acquisition Time Stamp", "Slice Algorithm", "Barcode", "Note", "Nothing"]
EMPTY = ["Nothing"]
HEADER = ["OBJECT ID", *IDENTITY[:6], *OTHERS[:1], *MEASURED, *OTHERS[1:], "Plate ID"]
"""As the exports of v1.17 have it, with three columns of no known name."""


def row(number: object, letter: str, column: int, fov: int, **others: object) -> dict[str, object]:
    values = {name: (len(name) + fov) / 7 for name in MEASURED}
    return {
        "OBJECT ID": number,
        "Row": letter,
        "Column": column,
        "FOV": fov,
        "WELL LABEL": f"{letter} - {column}",
        "Z": 1,
        "T": 1,
        "Class Name": "",
        **values,
        "Acquisition Time Stamp": 13.329999923706055,
        "Slice Algorithm": "CurrentSlice",
        "Barcode": "007",
        "Note": fov / 3,
        "Nothing": "",
        "Plate ID": "2023 Test, Dapi",
        **others,
    }


ROWS = [
    *(row(number, "C", 3, 1) for number in (1, 2, 3)),
    *(row(number, "C", 3, 2) for number in (1, 2)),
    row(1, "D", 12, 1, **{"F Actin Area wv2": "", "Note": "1e-3"}),
    row(3, "C", 3, 1, T=2),
    row(4, "C", 3, 1),
]


def write(
    path: Path, rows: Sequence[Mapping[str, object]] = ROWS, header: Sequence[str] = HEADER
) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, header, quoting=csv.QUOTE_NONNUMERIC, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(
    path: Path, overrides: Mapping[str, str] | None = None, size: int = 10**6
) -> tuple[InCartaFile, pa.Table, list[Rejection]]:
    """The export, its objects with what their image sets are named, and what was rejected."""
    file = open_in_carta(path, f"x/{path.name}", overrides, chunk_bytes=size)
    chunks = list(file.chunks(TableName(f"x/{path.name}", "Cells"), size))
    rows = pa.concat_tables([chunk.rows for chunk in chunks])
    if "ImageNumber" in rows.column_names:
        places = pc.subtract(rows["ImageNumber"], 1)
        for name in ("Metadata_Plate", "Metadata_Well", "Metadata_Site"):
            rows = rows.append_column(name, file.image_sets[name].take(places))
    return file, rows, [rejection for chunk in chunks for rejection in chunk.rejections]


def faults(rejections: list[Rejection]) -> list[tuple[str, int | None]]:
    return [(one.reason, one.source_row) for one in rejections]


@pytest.mark.parametrize("size", [1, 500, 10**6])
def test_in_carta_every_column_equals_pandas(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "Test 0 Day0.csv")
    _, rows, rejections = read(path, size=size)
    assert rejections == []
    texts = [*IDENTITY, *OTHERS[:1], "Slice Algorithm", "Barcode", "Nothing"]
    truth = pd.read_csv(path, dtype=dict.fromkeys(texts, "str"))
    found = rows.to_pandas()
    there = [column for column in HEADER if column not in EMPTY]
    assert rows.column_names == [
        *("ImageNumber", "ObjectNumber", *there, "source_row"),
        *("Metadata_Plate", "Metadata_Well", "Metadata_Site"),
    ]
    for column in there:
        expected = truth[column]
        if column in texts:
            expected = expected.astype(object).where(expected.notna(), None)
        pd.testing.assert_series_equal(found[column], expected)
    assert {name: str(rows[name].type) for name in (*MEASURED, *OTHERS) if name in there} == {
        **dict.fromkeys(MEASURED, "double"),
        "Class Name": "string",
        "Acquisition Time Stamp": "double",
        "Barcode": "string",
        "Slice Algorithm": "string",
        "Note": "double",
    }
    assert rows["F Actin Area wv2"].null_count == 1


@pytest.mark.parametrize("size", [1, 500, 10**6])
def test_in_carta_image_sets_and_keys(tmp_path: Path, size: int) -> None:
    file, rows, _ = read(write(tmp_path / "a.csv"), size=size)
    plate = "2023 Test, Dapi"
    assert file.image_sets.to_pylist() == [
        {
            "ImageNumber": number,
            "Metadata_Plate": plate,
            "Metadata_Well": well,
            "Metadata_Site": site,
            "Metadata_Z": "1",
            "Metadata_T": time,
        }
        for number, well, site, time in (
            *((1, "C03", "1", "1"), (2, "C03", "2", "1")),
            *((3, "D12", "1", "1"), (4, "C03", "1", "2")),
        )
    ]
    assert rows["ImageNumber"].to_pylist() == [1, 1, 1, 2, 2, 3, 4, 1]
    assert rows["ObjectNumber"].to_pylist() == [1, 2, 3, 1, 2, 1, 3, 4]
    assert rows["ObjectNumber"].type == pa.int64()
    assert rows["Metadata_Well"].to_pylist() == [*["C03"] * 5, "D12", "C03", "C03"]
    assert rows["Metadata_Site"].to_pylist() == ["1", "1", "1", "2", "2", "1", "1", "1"]
    assert set(rows["Metadata_Plate"].to_pylist()) == {plate}
    assert rows["source_row"].to_pylist() == list(range(1, 9))


def test_in_carta_compartments(tmp_path: Path) -> None:
    header = read(write(tmp_path / "a.csv"))[0].header
    assert header is not None
    assert header.compartments == ("Primary Target", "Cells", "F Actin")
    assert [header.compartment_of(column) for column in MEASURED] == [
        *["Primary Target"] * 2,
        *["Cells"] * 3,
        *["F Actin"] * 3,
    ]
    assert header.compartment_of("Class Name") is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"WELL LABEL": "c03"}, ("C03", "1")),
        ({"WELL LABEL": "AF - 48"}, ("AF48", "1")),
        ({"WELL LABEL": ""}, ("C03", "1")),
        ({"WELL LABEL": "", "Row": 2}, ("B03", "1")),
        ({"WELL LABEL": "", "Row": "aa"}, ("AA03", "1")),
        ({"WELL LABEL": "", "Row": "2.0", "Column": "3.0"}, ("B03", "1")),
        ({"FOV": "01"}, ("C03", "1")),
        ({"FOV": "north"}, ("C03", "north")),
        ({"WELL LABEL": "Z - 99"}, None),
        ({"WELL LABEL": "", "Row": ""}, None),
        ({"WELL LABEL": "", "Row": "9" * 5000}, None),
        ({"FOV": ""}, None),
    ],
    ids=range(12),
)
def test_in_carta_wells_and_fields(
    tmp_path: Path, changes: dict[str, Any], expected: tuple[str, str] | None
) -> None:
    path = write(tmp_path / "a.csv", [row(7, "C", 3, 1, **changes), row(8, "H", 1, 1)])
    file, rows, rejections = read(path)
    assert rows["ObjectNumber"].to_pylist() == ([7, 8] if expected else [8])
    if expected:
        assert (rows["Metadata_Well"][0].as_py(), rows["Metadata_Site"][0].as_py()) == expected
        assert rejections == []
    else:
        assert faults(rejections) == [("no_image_set", 1)]
        assert "expected a well of a plate up to 1536 wells" in rejections[0].detail
        assert file.image_sets["ImageNumber"].to_pylist() == [1]
        assert rows["ImageNumber"].to_pylist() == [1]


def test_in_carta_one_image_set_in_several_spellings(tmp_path: Path) -> None:
    rows = [row(1, "C", 3, 1), row(2, "C", 3, 1, **{"WELL LABEL": "C03", "FOV": "01"})]
    file, found, _ = read(write(tmp_path / "a.csv", rows))
    assert file.image_sets.num_rows == 1
    assert found["ImageNumber"].to_pylist() == [1, 1]


def test_in_carta_identities_with_odd_characters_stay_apart(tmp_path: Path) -> None:
    plates = ["a\x1fb", "a", "b", "a\x01", "é"]
    rows = [row(1, "C", 3, 1, **{"Plate ID": plate}) for plate in plates]
    file, found, _ = read(write(tmp_path / "a.csv", rows))
    assert file.image_sets["Metadata_Plate"].to_pylist() == plates
    assert found["Metadata_Plate"].to_pylist() == plates


@pytest.mark.parametrize("size", [1, 10**6])
def test_in_carta_rows_that_cannot_be_used_are_recorded(tmp_path: Path, size: int) -> None:
    bad: list[dict[str, object]] = [
        row("", "C", 3, 1),
        row("x", "C", 3, 1),
        row(2.5, "C", 3, 1),
        row(4, "C", 3, 1, **{"Cells Max width wv3": "wide"}),
        row(5, "C", 3, 1),
    ]
    path = write(tmp_path / "a.csv", bad)
    with path.open("a") as stream:
        stream.write("6,C\n")
    _, rows, rejections = read(path, size=size)
    assert sorted(faults(rejections), key=lambda one: one[1] or 0) == [
        *(
            ("no_key", 1),
            ("not_a_number", 2),
            ("no_key", 3),
            ("not_a_number", 4),
            ("column_count", 6),
        ),
    ]
    assert {one.source_file for one in rejections} == {"x/a.csv"}
    assert rows["ObjectNumber"].to_pylist() == [5]
    assert rows["source_row"].to_pylist() == [5]


def test_in_carta_kinds_are_those_of_the_whole_file(tmp_path: Path) -> None:
    rows = [row(n, "C", 3, 1, Note="1") for n in range(1, 50)]
    path = write(tmp_path / "a.csv", [*rows, row(50, "C", 3, 1, Note="good")])
    file, found, rejections = read(path, size=1000)
    assert rejections == []
    assert file.kinds["Note"] == "string"
    assert found["Note"].to_pylist() == [*["1"] * 49, "good"]


def test_in_carta_types_may_be_said(tmp_path: Path) -> None:
    overrides = {"Barcode": "int", "Cells Max width wv3": "string", "FOV": "int", "Note": "string"}
    _, rows, _ = read(write(tmp_path / "a.csv"), overrides)
    assert [str(rows[name].type) for name in overrides] == ["int64", "string", "string", "string"]
    assert rows["Barcode"][0].as_py() == 7


def test_in_carta_names_of_columns_that_are_added(tmp_path: Path) -> None:
    header = [*HEADER, "ObjectNumber", "Metadata_Well", "source_row"]
    rows = [row(1, "C", 3, 1, ObjectNumber=99, Metadata_Well="x", source_row="y")]
    _, found, rejections = read(write(tmp_path / "a.csv", rows, header))
    assert found["ObjectNumber"].to_pylist() == [1]
    assert [(one.reason, one.outcome) for one in rejections] == [
        ("column_name_taken", "incomplete")
    ] * 3


def test_in_carta_with_time_points_and_no_plate(tmp_path: Path) -> None:
    header = ["Object ID", "Well Label", "Fov", "TimePoint", "Cells Area wv1"]
    rows = [dict(zip(header, [1, "A - 1", 2, time, 0.5], strict=True)) for time in (1, 2)]
    file, found, _ = read(write(tmp_path / "a.csv", rows, header))
    assert file.image_sets["Metadata_T"].to_pylist() == ["1", "2"]
    assert file.image_sets["Metadata_Plate"].null_count == 2
    assert found["ImageNumber"].to_pylist() == [1, 2]
    assert found["Object ID"].to_pylist() == [1, 1]


def test_in_carta_files_without_rows(tmp_path: Path) -> None:
    file, rows, (rejection,) = read(write(tmp_path / "a.csv", []))
    assert (rows.num_rows, file.image_sets.num_rows) == (0, 0)
    assert (rejection.reason, rejection.outcome) == ("header_only", "incomplete")
    (tmp_path / "b.csv").write_bytes(b"")
    file, rows, (rejection,) = read(tmp_path / "b.csv")
    assert (rows.num_rows, file.image_sets.num_rows) == (0, 0)
    assert (rejection.reason, rejection.outcome) == ("empty_file", "rejected")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("OBJECT ID,FOV\n1,1\n", "x/a.csv is no export of IN Carta: expected the columns"),
        ("OBJECT ID,Row,FOV\n", "is no export"),
        ("WELL LABEL,FOV\n", "is no export"),
        ("OBJECT ID,WELL LABEL\n", "is no export"),
        ("OBJECT ID,WELL LABEL,FOV,FOV\n", "the column 'FOV' more than once"),
        ("\n", "is no export"),
    ],
    ids=range(6),
)
def test_open_in_carta_other_files_are_an_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(MeasurementError, match=message):
        open_in_carta(tmp_path / "a.csv", "x/a.csv")


def test_is_in_carta() -> None:
    assert is_in_carta(tuple(HEADER))
    assert not is_in_carta(("ImageNumber", "ObjectNumber"))
    assert not is_in_carta(())
    assert InCartaHeader.of(tuple(HEADER), "a", {}).object_id == "OBJECT ID"


def test_in_carta_file_that_changes_between_the_readings(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    file = open_in_carta(path, "a.csv")
    write(path, [*ROWS, row(9, "C", 3, 1)])
    with pytest.raises(InputChangedError, match="changed since it was opened"):
        list(file.chunks(TableName("a.csv", "Cells")))


def test_in_carta_memory_is_that_of_a_piece(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [row(n, "C", 3, n % 9) for n in range(1, 3000)])
    file = open_in_carta(path, "a.csv", chunk_bytes=20_000)
    sizes = [chunk.rows.num_rows for chunk in file.chunks(TableName("a.csv", "Cells"), 20_000)]
    assert sum(sizes) == 2999
    assert len(sizes) > 10
    assert max(sizes) < 300


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        (("", "7"), [None, 7.0]),
        (("3", "a"), ["3", "a"]),
        (("007", "7.50"), ["007", "7.50"]),
        (("", ""), None),
        (("", "a"), [None, "a"]),
    ],
    ids=range(5),
)
def test_in_carta_kinds_are_those_of_all_files_of_a_plate(
    tmp_path: Path, notes: tuple[str, str], expected: list[object] | None
) -> None:
    for at, note in enumerate(notes):
        one = row(1, "C", at + 1, 1, Note=note, **{"Plate ID": "P1"})
        write(tmp_path / f"{at}.csv", [one])
    sources = one_plate(tmp_path)
    found = raw_table(sources, "Cells")
    assert found["well_id"].to_pylist() == ["C01", "C02"]
    assert (found["Note"].to_pylist() if "Note" in found.column_names else None) == expected
    first = first_columns(sources)
    if "Note" in first.names:
        assert first.field("Note").type == found["Note"].type


def test_in_carta_column_that_is_empty_in_one_plate_is_no_obstacle(tmp_path: Path) -> None:
    for at, note in enumerate(("", "7")):
        one = row(1, "C", 1, 1, Note=note, **{"Plate ID": f"P{at}"})
        (tmp_path / f"{at}").mkdir()
        write(tmp_path / f"{at}" / "a.csv", [one])
        convert(tmp_path / f"{at}", tmp_path / "warehouse", join=False)
    rows = open_warehouse(tmp_path / "warehouse").read_table("raw_measurements", columns=["Note"])
    assert sorted(rows["Note"].drop_null().to_pylist()) == [7.0]
