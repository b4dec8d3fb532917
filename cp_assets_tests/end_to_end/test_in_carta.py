"""IN Carta's exports, converted: values as pandas reads them, under the wells they are of."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import cp_assets
from cp_assets.datasets import dataset_from_folder, find_plates
from cp_assets.errors import MeasurementError
from cp_assets_tests.measurements.test_in_carta import HEADER, MEASURED, ROWS, row, write

PLATE = "2023 Test, Dapi"
MORE = [row(number, "P", 24, 7, **{MEASURED[0]: 1 / (number + 1)}) for number in range(1, 4)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "exports").mkdir()
    write(tmp_path / "exports" / "Test 0 Day0.csv")
    write(tmp_path / "exports" / "Test 1 Day0.csv", MORE)
    return tmp_path / "exports"


def test_in_carta_values_equal_pandas(folder: Path, tmp_path: Path) -> None:
    warehouse = cp_assets.convert(folder, tmp_path / "wh")
    assert [key.plate_id for key in warehouse.plates("joined_profiles")] == [PLATE]
    truth = pd.concat([pd.read_csv(path) for path in sorted(folder.iterdir())])
    truth = truth.assign(well_id=truth["WELL LABEL"].map({"C - 3": "C03", "D - 12": "D12"}))
    truth["well_id"] = truth["well_id"].fillna("P24")
    by = ["well_id", "FOV", "T", "OBJECT ID"]
    truth = truth.sort_values(by).reset_index(drop=True)
    assert len(truth) == len(ROWS) + len(MORE)
    everything = warehouse.read_table("raw_measurements").to_pandas()
    raw = everything[everything["compartment"] == "Cells"]
    joined = warehouse.read_table("joined_profiles").to_pandas()
    for rows, prefix in ((raw, ""), (joined, "Cells_")):
        numbers = {f"{prefix}{name}": int for name in ("FOV", "T")}
        found = rows.astype(numbers).sort_values(
            ["well_id", *numbers, f"{prefix}OBJECT ID"], ignore_index=True
        )
        assert found["well_id"].tolist() == truth["well_id"].tolist()
        for name in (*MEASURED, "Note", "Acquisition Time Stamp"):
            pd.testing.assert_series_equal(
                found[f"{prefix}{name}"].astype(float), truth[name].astype(float), check_names=False
            )
        # A column of which no file has a value is left out.
        assert {*HEADER} - {"Nothing"} <= {name.removeprefix(prefix) for name in found.columns}
    assert joined["site_id"].astype(int).tolist() == joined["Cells_FOV"].astype(int).tolist()
    assert set(joined["Image_Metadata_Plate"]) == {PLATE}
    assert joined["Metadata_ObjectID"].is_unique
    assert warehouse.read_table("rejected_rows").num_rows == 0
    assert (everything["compartment"] == "Image").sum() == 5


def test_in_carta_one_export_of_two_plates(tmp_path: Path) -> None:
    rows = [row(number, "C", 3, 1, **{"Plate ID": f"P{number % 2}"}) for number in range(1, 6)]
    (tmp_path / "x").mkdir()
    write(tmp_path / "x" / "all.csv", rows)
    (tmp_path / "x" / "notes.csv").write_text("a,b\n1,2\n")
    plates = find_plates(dataset_from_folder(tmp_path / "x"))
    assert [key.plate_id for key in plates] == ["P0", "P1"]
    assert next(iter(plates.values())).choice.startswith("in-carta, found by itself: all.csv:Image")
    warehouse = cp_assets.convert(tmp_path / "x", tmp_path / "wh")
    for plate, numbers in (("P0", [2, 4]), ("P1", [1, 3, 5])):
        found = warehouse.read_table("joined_profiles", plate=plate)
        assert found["Metadata_ObjectNumber"].to_pylist() == numbers
        assert set(found["well_id"].to_pylist()) == {"C03"}


def test_in_carta_compartment_may_be_named_and_its_rows_at_fault_are_kept(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    write(tmp_path / "x" / "a.csv", [*ROWS, row(9, "??", 3, 1), row("no", "C", 3, 1)])
    preset = cp_assets.datasets.choose_preset({"extends": "in-carta", "compartment": "Target"})
    warehouse = cp_assets.convert(tmp_path / "x", tmp_path / "wh", preset=preset)
    joined = warehouse.read_table("joined_profiles")
    assert joined.num_rows == len(ROWS)
    assert f"Target_{MEASURED[0]}" in joined.column_names
    books = warehouse.read_table("rejected_rows").to_pylist()
    assert sorted((one["reason"], one["source_row"], one["source_file"]) for one in books) == [
        ("no_image_set", len(ROWS) + 1, "a.csv:Target"),
        ("not_a_number", len(ROWS) + 2, "a.csv:Target"),
    ]


def test_in_carta_broken_text_is_an_error_that_names_the_file(folder: Path, tmp_path: Path) -> None:
    with (folder / "Test 1 Day0.csv").open("ab") as stream:
        stream.write(b"\xff\xfe,1\n")
    with pytest.raises(MeasurementError, match=r"Test 1 Day0\.csv"):
        cp_assets.convert(folder, tmp_path / "wh")
