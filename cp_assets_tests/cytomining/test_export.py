"""Roots from the Iceberg warehouse: the same rows, read by ours and by the peer."""

from __future__ import annotations

import json
from pathlib import Path

import iceberg_bioimage as peer
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

import cp_assets
from cp_assets.cytomining import Plates, check_root, export, read_manifest
from cp_assets.errors import NoSuchTableError, PlateNotFoundError, WarehouseRootError
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.cytomining.conftest import read_folder

SAME = {
    "profiles.joined_profiles": "Metadata_ObjectID",
    "images.image_crops": "Metadata_ImageCropID",
    "images.source_images": "Metadata_ImageID",
    "profiles.profile_with_images": "Metadata_ImageCropID",
}
"""Tables that a root has as the warehouse has -> column to sort by."""


@pytest.fixture(scope="module")
def exported(built: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small sample as a root: only to be read."""
    root = tmp_path_factory.mktemp("exported") / "root"
    export(built, root)
    return root


@pytest.mark.parametrize("name", SAME)
def test_rows_are_those_of_the_warehouse(built: Warehouse, exported: Path, name: str) -> None:
    table = built.table(name)
    # The view's own rows, as PyIceberg reads them.
    expected = table.scan().to_arrow().sort_by(SAME[name])
    found = read_folder(exported, name).sort_by(SAME[name])
    assert found.column_names == expected.column_names
    for column in expected.column_names:
        assert found[column].to_pylist() == expected[column].to_pylist(), column


def test_raw_measurements_are_a_table_for_each_compartment(
    built: Warehouse, exported: Path
) -> None:
    raw = built.table("profiles.raw_measurements").scan().to_arrow()
    for compartment in ("Image", "Cells", "Nuclei", "Cytoplasm"):
        expected = raw.filter(pc.equal(raw["compartment"], compartment))
        found = read_folder(exported, f"profiles.{compartment.lower()}_measurements")
        assert found.num_rows == expected.num_rows > 0
        keys = [(name, "ascending") for name in ("image_id", "ObjectNumber")]
        known = [one for one in keys if one[0] in found.column_names]
        expected, found = expected.sort_by(known), found.sort_by(known)
        for column in found.column_names:
            assert found[column].to_pylist() == expected[column].to_pylist(), column
        left_out = set(expected.column_names) - set(found.column_names)
        assert all(expected[name].null_count == expected.num_rows for name in left_out)


def test_rejected_rows_have_a_boolean(built: Warehouse, exported: Path) -> None:
    found = read_folder(exported, "quality_control.rejected_rows")
    assert found.num_rows == built.table("quality_control.rejected_rows").scan().to_arrow().num_rows
    assert found["is_rejected"].to_pylist() == [
        one == "rejected" for one in found["outcome"].to_pylist()
    ]


def test_root_meets_every_clause(exported: Path) -> None:
    report = check_root(exported)
    assert report.is_valid
    assert not report.warnings


def test_peer_accepts_the_root_and_its_profiles(exported: Path) -> None:
    result = peer.validate_warehouse_manifest(exported)
    assert result.is_valid
    assert not result.warnings
    folder = exported / "profiles" / "joined_profiles"
    contract = peer.validate_microscopy_profile_table(str(folder))
    assert contract.is_valid
    assert not contract.missing_recommended_columns
    found = peer.query_metadata_table(str(folder / "*.parquet"), columns=["image_id", "plate_id"])
    assert found.num_rows == read_folder(exported, "profiles.joined_profiles").num_rows


def test_manifest_says_what_is_there(exported: Path) -> None:
    manifest = json.loads((exported / "warehouse_manifest.json").read_text())
    assert manifest["warehouse_spec_version"] == "1.0.0"
    assert set(manifest["roles"]) == {"profile_with_images", "provenance"}
    for entry in manifest["tables"]:
        folder = exported.joinpath(*entry["table_name"].split("."))
        files = sorted(folder.iterdir())
        assert sorted(entry["files"]) == [one.name for one in files]
        assert sum(pq.read_metadata(one).num_rows for one in files) == entry["row_count"]
        assert all(pq.read_schema(one).names == entry["columns"] for one in files)
        assert entry["source_type"] == "catalog"


def test_one_plate_again_changes_no_row(built: Warehouse, tmp_path: Path) -> None:
    root = tmp_path / "root"
    first, second = built.plates("profiles.joined_profiles")
    tables = ["joined_profiles", "raw_measurements"]
    export(built, root, tables=tables, plates=Plates(plate=first.plate_id))
    assert _plates(root) == {first.plate_id}
    export(built, root, tables=tables, plates=Plates(plate=second.plate_id))
    once = read_folder(root, "profiles.joined_profiles").sort_by("Metadata_ObjectID")
    assert _plates(root) == {first.plate_id, second.plate_id}
    export(built, root, tables=tables, plates=Plates(plate=second.plate_id))
    again = read_folder(root, "profiles.joined_profiles").sort_by("Metadata_ObjectID")
    assert again.equals(once)
    export(built, root, tables=tables, plates=Plates(plate=first.plate_id), mode="replace")
    assert _plates(root) == {first.plate_id}


def _plates(root: Path) -> set[str]:
    return set(read_folder(root, "profiles.joined_profiles")["plate_id"].to_pylist())


def test_tables_that_are_asked_for_and_no_others(built: Warehouse, tmp_path: Path) -> None:
    done = export(built, tmp_path / "root", tables=["image_crops"])
    assert list(done.row_counts) == ["images.image_crops"]
    manifest = read_manifest(tmp_path / "root")
    assert manifest is not None
    assert [one.table_name for one in manifest.tables] == ["images.image_crops"]


def test_front_door_has_the_room(built: Warehouse, tmp_path: Path) -> None:
    cp_assets.cytomining.export(built.name, tmp_path / "root", tables=["profiles.joined_profiles"])
    assert cp_assets.cytomining.check_root(str(tmp_path / "root")).is_valid


def test_table_or_plate_that_is_not_there_is_told(built: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(NoSuchTableError, match="has no table nothing"):
        export(built, tmp_path / "root", tables=["nothing"])
    with pytest.raises(PlateNotFoundError, match="has no rows of plate P9"):
        export(built, tmp_path / "root", plates=Plates(plate="P9"))
    assert not (tmp_path / "root").exists()


def test_table_of_others_is_left_out_and_told(warehouse: Warehouse, tmp_path: Path) -> None:
    warehouse.catalog.create_namespace("profiles")
    schema = pa.schema([("x", pa.int64())])
    warehouse.catalog.create_table("profiles.theirs", schema)
    with pytest.raises(WarehouseRootError, match="is no table of cp_assets"):
        export(warehouse, tmp_path / "root", tables=["theirs"])
    with pytest.raises(PlateNotFoundError):
        export(warehouse, tmp_path / "root")


def test_memory_is_of_some_rows_not_of_the_table(built: Warehouse, tmp_path: Path) -> None:
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    export(built, tmp_path / "root", tables=["source_images", "image_crops"])
    # What is kept after an export is nothing of its rows.
    assert pool.bytes_allocated() - before < 2**20
    assert pads.dataset(tmp_path / "root" / "images" / "image_crops").count_rows() > 0
