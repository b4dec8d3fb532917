"""DeepProfiler's features, converted: every number of numpy's, and nothing in a file is run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import cp_assets
from cp_assets.conversion import build_plate
from cp_assets.datasets import dataset_from_folder, find_plates
from cp_assets.errors import MeasurementError
from cp_assets_tests.measurements.pickles import (
    Calls,
    npy,
    npy_of_pickle,
    pickled,
    write_members,
    write_site,
)


def features_of(table: object, prefix: str, number: int) -> np.ndarray:
    names = [f"{prefix}_{at}" for at in range(number)]
    return table.select(names).to_pandas().to_numpy()  # type: ignore[attr-defined]


def test_deepprofiler_real_file_equals_numpy(test_data: Path, tmp_path: Path) -> None:
    warehouse = cp_assets.convert(test_data / "deepprofiler", tmp_path / "wh")
    with np.load(test_data / "deepprofiler" / "A01_5.npz") as truth:
        features, locations = truth["features"], truth["locations"]
    assert features.shape == (158, 6400)
    joined = warehouse.read_table("joined_profiles")
    np.testing.assert_array_equal(features_of(joined, "Cells_efficientnet", 6400), features)
    for axis, name in enumerate(("Cells_Location_Center_X", "Cells_Location_Center_Y")):
        np.testing.assert_array_equal(joined[name].to_numpy(), locations[:, axis])
    assert joined["Metadata_ObjectNumber"].to_pylist() == list(range(1, 159))
    assert {
        (one["plate_id"], one["well_id"], one["site_id"])
        for one in joined.select(["plate_id", "well_id", "site_id"]).to_pylist()
    } == {("SQ00014812", "A01", "5")}
    raw = warehouse.read_table("raw_measurements").to_pandas()
    assert raw["compartment"].value_counts().to_dict() == {"Cells": 158, "Image": 1}
    assert set(raw["source_file"]) == {"A01_5.npz:Cells", "A01_5.npz:Image"}


@pytest.mark.parametrize("form", ["{0}_{1}.npz", "{0}/{1}/embedding.npz", "{0}-{1}/embedding.npz"])
def test_deepprofiler_tree_of_plates(tmp_path: Path, form: str) -> None:
    root = tmp_path / "features"
    sites = [("P1", "B02", "1"), ("P1", "A01", "10"), ("P1", "A01", "9"), ("P2", "A01", "9")]
    for at, (plate, well, site) in enumerate(sites):
        values = np.arange(6, dtype=np.float32).reshape(2, 3) + 100 * at
        metadata = {"Model": "resnet", "Compound": f"c{at}"}
        path = root / "deep" / plate / form.format(well, site)
        write_site(path, metadata, features=values, locations=None)
    warehouse = cp_assets.convert(root, tmp_path / "wh")
    assert [key.plate_id for key in warehouse.plates("joined_profiles")] == ["P1", "P2"]
    joined = warehouse.read_table("joined_profiles", plate="P1")
    places = list(zip(joined["well_id"].to_pylist(), joined["site_id"].to_pylist(), strict=True))
    assert places == [("A01", "9")] * 2 + [("A01", "10")] * 2 + [("B02", "1")] * 2
    np.testing.assert_array_equal(
        features_of(joined, "Cells_resnet", 3)[:, 0], [200, 203, 100, 103, 0, 3]
    )
    assert joined["Image_Metadata_Compound"].to_pylist() == ["c2"] * 2 + ["c1"] * 2 + ["c0"] * 2
    assert warehouse.read_table("rejected_rows").num_rows == 0


def test_deepprofiler_malicious_file_holds_up_its_own_plate_alone(tmp_path: Path) -> None:
    root = tmp_path / "features"
    payload = pickled({"a": Calls(os.system, f"touch {tmp_path / 'marker'}")})
    bad = {"features": npy(np.zeros((2, 3), np.float32)), "metadata": npy_of_pickle(payload)}
    write_members(root / "P1" / "A01_5.npz", bad)
    write_site(root / "P1" / "A01_6.npz", {})
    write_site(root / "P2" / "A01_5.npz", {})
    plates = {
        key.plate_id: sources for key, sources in find_plates(dataset_from_folder(root)).items()
    }
    assert list(plates) == ["P1", "P2"]
    warehouse = cp_assets.open_warehouse(tmp_path / "wh", create=True)
    with pytest.raises(MeasurementError, match=r"P1/A01_5\.npz.*'posix\.system', which is refused"):
        build_plate(warehouse, plates["P1"])
    build_plate(warehouse, plates["P2"])
    assert warehouse.read_table("joined_profiles").num_rows == 3
    assert not (tmp_path / "marker").exists()


def test_deepprofiler_sites_that_contradict_themselves_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / "P1"
    write_site(root / "A01_5.npz", {"Metadata_Well": "B07", "Plate": "P1"})
    write_site(root / "A01_6.npz", {"Plate": "P1"})
    warehouse = cp_assets.convert(root, tmp_path / "wh")
    assert set(warehouse.read_table("joined_profiles")["site_id"].to_pylist()) == {"6"}
    (entry,) = warehouse.read_table("rejected_rows").to_pylist()
    assert (entry["reason"], entry["source_file"]) == ("identity_conflict", "A01_5.npz:Image")
