"""A plate as CellProfiler's single ``object.csv``: what it gives as separate files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import cp_assets
from cp_assets.datasets import Dataset, dataset_from_folder, find_plates

KEYS = ["ImageNumber", "ObjectNumber"]


@pytest.fixture(scope="module")
def tables(test_data: Path) -> dict[str, pd.DataFrame]:
    """ExampleHuman as two image sets, the second with fewer cells and more nuclei."""
    found = {}
    for name in ("Image", "Cells", "Cytoplasm", "Nuclei"):
        first = pd.read_csv(test_data / "example_human" / f"{name}.csv")
        second = first.assign(ImageNumber=2)
        if name in ("Cells", "Cytoplasm"):
            second = second[:200]
        found[name] = pd.concat([first, second], ignore_index=True)
    image = found["Image"]
    columns = [c for c in image.columns if not c.startswith(("Metadata_", "ModuleError", "Exec"))]
    found["Image"] = image[columns].assign(
        Metadata_Plate="P1", Metadata_Well=["A01", "b2"], Metadata_Site=["1", "2"]
    )
    return found


def write_separate(folder: Path, tables: dict[str, pd.DataFrame]) -> Path:
    folder.mkdir()
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


def combined(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The n-th objects of each image set side by side, as ExportToSpreadsheet writes them."""
    image = tables["Image"].set_index("ImageNumber").add_prefix("Image|")
    objects = [
        table.set_index(KEYS).add_prefix(f"{name}|")
        for name, table in tables.items()
        if name != "Image"
    ]
    rows = pd.concat(objects, axis=1).sort_index().reset_index().join(image, on="ImageNumber")
    rows = rows.rename(columns={"ImageNumber": "Image|ImageNumber", KEYS[1]: f"Cells|{KEYS[1]}"})
    rows.columns = pd.MultiIndex.from_tuples(tuple(name.split("|", 1)) for name in rows.columns)
    return rows


@pytest.fixture(scope="module")
def separate(tables: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_separate(tmp_path_factory.mktemp("separate") / "plate", tables)


def joined(source: Path, warehouse: Path) -> pd.DataFrame:
    found = cp_assets.convert(source, warehouse).read_table("joined_profiles").to_pandas()
    return found[sorted(found.columns)]


@pytest.mark.parametrize("name", ["object.csv", "MyExpt_Objects.csv.gz"])
def test_combined_csv_gives_the_joined_profiles_of_separate_files(
    name: str, tables: dict[str, pd.DataFrame], separate: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "plate"
    folder.mkdir()
    combined(tables).to_csv(folder / name, index=False)
    expected = joined(separate, tmp_path / "separate")
    assert len(expected) == len(tables["Cells"])
    pd.testing.assert_frame_equal(joined(folder, tmp_path / "combined"), expected)
    warehouse = cp_assets.open_warehouse(tmp_path / "combined")
    assert warehouse.read_table("rejected_rows").num_rows == (
        cp_assets.open_warehouse(tmp_path / "separate").read_table("rejected_rows").num_rows
    )
    raw = warehouse.read_table("raw_measurements", columns=["compartment", "source_file"])
    assert set(raw["source_file"].to_pylist()) == {
        f"{name}:{one}" for one in ("Image", "Cells", "Cytoplasm", "Nuclei")
    }


def test_combined_csv_names_its_plates_and_is_passed_over_beside_an_image_table(
    tables: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    rows = combined(tables)
    rows["Image", "Metadata_Plate"] = rows["Image", "ImageNumber"].map({1: "P1", 2: "P,2"})
    rows.to_csv(folder / "object.csv", index=False)
    (folder / "other.csv").write_bytes(b"\xff\x00")
    plates = find_plates(dataset_from_folder(folder))
    assert [key.plate_id for key in plates] == ["P,2", "P1"]
    choice = next(iter(plates.values())).choice
    assert choice.startswith("cellprofiler-combined-csv, found by itself: object.csv:Image")
    warehouse = cp_assets.convert(folder, tmp_path / "wh")
    assert warehouse.read_table("joined_profiles", plate="P,2").num_rows == 200
    write_separate(tmp_path / "both", {"Image": tables["Image"], "Cells": tables["Cells"]})
    (folder / "object.csv").rename(tmp_path / "both" / "object.csv")
    (found,) = find_plates(Dataset(dataset_id="x", root=tmp_path / "both", layout="cellprofiler"))
    assert found.plate_id == "P1"
