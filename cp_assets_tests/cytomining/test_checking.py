"""Any root against the specification: ours, the peer's, damaged ones, ones of other hands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import iceberg_bioimage as peer
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
import zarr

from cp_assets.cytomining.checking import JUDGES, check_root
from cp_assets.cytomining.clauses import CLAUSES
from cp_assets.cytomining.manifest import MANIFEST_NAME
from cp_assets.cytomining.root import writing
from cp_assets.errors import WarehouseRootError
from cp_assets_tests.cytomining.conftest import profile_rows
from cp_assets_tests.services.buckets import Bucket

FOLDER = "profiles/cell_profiles"

Entry = dict[str, Any]


@pytest.fixture
def good(root: Path) -> Path:
    """A root that conforms, of one table of two cells."""
    with writing(root) as write:
        write.add(profile_rows("p1", ["a", "b"]))
        write.commit()
    return root


def changed(root: Path, change: Callable[[Entry], None], **manifest: Any) -> None:
    """Change the first entry, and fields of the manifest."""
    content = json.loads((root / MANIFEST_NAME).read_text())
    change(content["tables"][0])
    (root / MANIFEST_NAME).write_text(json.dumps({**content, **manifest}))


def broken(root: Path) -> dict[str, str]:
    """Clause that is broken -> its findings."""
    return {
        one.clause.key: "; ".join(one.findings)
        for one in check_root(root).results
        if one.outcome == "broken"
    }


def test_every_clause_has_a_judge_or_says_why_not() -> None:
    judged = {one.key for one in CLAUSES if one.outside is None}
    assert judged == set(JUDGES)
    assert len({one.key for one in CLAUSES}) == len(CLAUSES)


def test_conforming_root_meets_all(good: Path) -> None:
    report = check_root(good)
    assert report.is_valid
    assert not report.warnings
    assert {one.outcome for one in report.results} == {"met", "not applicable"}
    assert all(one.reason for one in report.results if one.outcome == "not applicable")
    assert json.loads(report.to_json())["is_valid"]


def test_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WarehouseRootError, match="there is no such folder"):
        check_root(tmp_path / "none")


def test_empty_folder_has_no_manifest(tmp_path: Path) -> None:
    assert broken(tmp_path) == {"Manifest 1": "warehouse_manifest.json is missing"}


@pytest.mark.parametrize("text", ["{", "[]", '{"tables": 3, "warehouse_spec_version": "1.0.0"}'])
def test_manifest_that_is_none_is_found(good: Path, text: str) -> None:
    (good / MANIFEST_NAME).write_text(text)
    assert not check_root(good).is_valid
    assert "Manifest 1" in broken(good)


def test_unknown_major_version_ends_the_check_in_one_line(good: Path) -> None:
    changed(good, lambda _: None, warehouse_spec_version="7.0.0")
    with pytest.raises(WarehouseRootError, match=r"7\.0\.0, and this cp_assets knows") as raised:
        check_root(good)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("version", ["1.0", "one", 1])
def test_version_that_is_not_semantic(good: Path, version: object) -> None:
    changed(good, lambda _: None, warehouse_spec_version=version)
    assert list(broken(good)) == ["Specification Versioning 2"]


def _set(**fields: Any) -> Callable[[Entry], None]:
    return lambda entry: entry.update(fields)


@pytest.mark.parametrize(
    ("change", "clause", "told"),
    [
        (_set(table_name="../x"), "Namespaces and Tables 3", "leads out of the root"),
        (_set(table_name="/etc"), "Namespaces and Tables 2", "leads out of the root"),
        (_set(table_name="a\\b.c"), "Manifest 2", "leads out of the root"),
        (_set(table_name="profiles.a\x00"), "Manifest 2", "no folder's name may have"),
        (_set(table_name="profiles...x"), "Manifest 2", "has an empty part"),
        (_set(table_name="cell_profiles"), "Manifest 2", "has no namespace"),
        (_set(table_name=7), "Manifest 2", "has no table_name"),
        (_set(table_name="images.cell_profiles"), "Canonical Namespaces 1", "namespace profiles"),
        (_set(table_name="profiles.gone"), "Independent and External Writes 3", "no Parquet file"),
        (_set(role="guesses"), "Role Vocabulary 1", "does not say what it means"),
        (_set(role="guesses"), "Role Vocabulary 9", "does not say what it means"),
        (_set(role=None), "Manifest 3", "role is missing"),
        (_set(role="joined_profiles"), "Canonical Table Names 1", "profiles.joined_profiles"),
        (_set(role="image_crops"), "Canonical Table Names 2", "images.image_crops"),
        (_set(role="source_images"), "Canonical Table Names 3", "images.source_images"),
        (_set(role="image_assets"), "Image Namespace Data Conventions 3", "images.image_assets"),
        (_set(role="image_assets"), "Canonical Namespaces 2", "namespace images"),
        (_set(role="quality_control"), "Canonical Namespaces 3", "namespace quality_control"),
        (_set(role="quality_control"), "Quality Control Tables 2", "namespace quality_control"),
        (_set(join_keys=["well_id"]), "Manifest 3", "join key well_id is none of its columns"),
        (_set(join_keys="image_id"), "Manifest 3", "join_keys is 'image_id'"),
        (_set(columns=["image_id"]), "Manifest 3", "beyond the manifest, column"),
        (_set(format=None), "Manifest 3", "format is missing"),
        (_set(object_keys=["nothing"]), "Profile Tables 4", "which is no column"),
        (_set(object_keys=["image_id"]), "Profile Tables 4", "several rows have image_id"),
        (_set(files={}), "Independent and External Writes 4", "the manifest does not name"),
        (_set(files={"x": {}}), "Independent and External Writes 3", "x is gone"),
        (_set(profile_level=None), "Profile Tables 5", "declares no profile_level"),
        (_set(row_count=9), "Independent and External Writes 8", "row_count is 9"),
        (_set(join_keys=[]), "Manifest 5", "join_keys is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_clause_is_found_and_says_where(
    good: Path, change: Callable[[Entry], None], clause: str, told: str
) -> None:
    changed(good, change)
    assert told in broken(good)[clause]


def test_shoulds_are_warnings(good: Path) -> None:
    changed(good, _set(profile_level=None))
    report = check_root(good)
    assert report.is_valid
    assert report.warnings == ["profiles.cell_profiles: declares no profile_level"]


def test_documented_role_of_a_projects_own(good: Path) -> None:
    changed(good, _set(role="guesses"), roles={"guesses": "what somebody thinks"})
    assert broken(good) == {}


def test_names_that_are_there_twice(good: Path) -> None:
    content = json.loads((good / MANIFEST_NAME).read_text())
    content["tables"] *= 2
    (good / MANIFEST_NAME).write_text(json.dumps(content))
    assert broken(good)["Manifest 4"] == "profiles.cell_profiles is there more than once"


def test_link_out_of_the_root(good: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (good / FOLDER).rename(outside)
    (good / FOLDER).symlink_to(outside)
    assert "is a link that leads out of the root" in broken(good)["Namespaces and Tables 3"]


def test_links_in_a_circle_end(good: Path) -> None:
    (good / "profiles" / "again").symlink_to(good)
    assert check_root(good).is_valid


def test_folder_that_no_entry_names(good: Path) -> None:
    (good / "profiles" / "stray").mkdir()
    pq.write_table(pa.table({"x": [1]}), good / "profiles" / "stray" / "a.parquet")
    found = broken(good)
    assert "profiles.stray has Parquet files" in found["Independent and External Writes 3"]


def test_flat_files_of_old_roots(good: Path) -> None:
    (good / "image_assets").mkdir()
    pq.write_table(pa.table({"x": [1]}), good / "image_assets" / "a.parquet")
    assert "image_assets/a.parquet" in broken(good)["Namespaces and Tables 1"]


def test_file_that_is_no_parquet(good: Path) -> None:
    next((good / FOLDER).iterdir()).write_text("damaged")
    assert "cannot be read" in broken(good)["Manifest 3"]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"Metadata_ObjectID": ["a", "a"], "image_id": ["i", "i"]}, "several rows have"),
        ({"Metadata_ObjectID": ["a", None], "image_id": ["i", "i"]}, "is null in 1 rows"),
        ({"Metadata_ObjectID": ["a", "b"], "image_id": ["i", None]}, "image_id is null in 1"),
        ({"Metadata_ObjectID": ["a", "b"]}, "has no column of image ids"),
        ({"image_id": ["i", "j"]}, "has no column of object ids"),
    ],
    ids=["repeated", "null_object", "null_image", "no_image", "no_object"],
)
def test_ids_of_profiles(tmp_path: Path, columns: dict[str, list[Any]], told: str) -> None:
    _export_by_peer(tmp_path, pa.table(columns), "profiles.cell_profiles")
    assert told in broken(tmp_path)["Profile Tables 4"]


def test_kinds_that_mix(tmp_path: Path) -> None:
    table = pa.table(
        {
            "image_id": ["i", "i"],
            "Metadata_ObjectID": ["a", "b"],
            "Metadata_compartment": ["cells", "nuclei"],
        }
    )
    _export_by_peer(tmp_path, table, "profiles.cell_profiles")
    found = broken(tmp_path)
    assert "several kinds" in found["Profile Tables 3"]
    assert "cells, nuclei" in found["Profile Tables 2"]


def test_root_in_an_object_store(good: Path, bucket: Bucket) -> None:
    there = bucket.put(good)
    report = check_root(there)
    assert report.is_valid
    assert not report.warnings
    assert report.result("Namespaces and Tables 4").outcome == "met"
    assert report.result("Namespaces and Tables 3").outcome == "not applicable"
    with pytest.raises(WarehouseRootError, match="there is no such folder"):
        check_root(there / "nothing")


# -- roots of the peer's own exporter


def _export_by_peer(root: Path, table: pa.Table, name: str, role: str = "profiles") -> None:
    peer.export_table_to_cytomining_warehouse(
        table, root, table_name=name, role=role, source_type="test"
    )


@pytest.fixture
def stores(tmp_path: Path) -> Path:
    """A chunked Zarr store."""
    array = zarr.create_array(
        tmp_path / "image.zarr", shape=(20, 30), chunks=(10, 10), dtype="uint16", zarr_format=2
    )
    array[:] = np.arange(600, dtype=np.uint16).reshape(20, 30)
    tifffile.imwrite(tmp_path / "flat.ome.tif", np.zeros((8, 9), np.uint8), ome=True)
    return tmp_path


def test_peers_root_of_images_conforms(stores: Path, root: Path) -> None:
    peer.export_store_to_cytomining_warehouse(str(stores / "image.zarr"), root)
    report = check_root(root)
    assert report.is_valid
    assert report.result("Image Namespace Data Conventions 4").outcome == "met"


def test_peers_root_of_an_image_without_chunks_conforms(stores: Path, root: Path) -> None:
    peer.export_store_to_cytomining_warehouse(str(stores / "flat.ome.tif"), root)
    assert check_root(root).is_valid


def test_peers_joined_profiles_do_not_say_what_a_row_is(stores: Path, root: Path) -> None:
    assets = pa.Table.from_pylist(peer.scan_as_arrow_table(str(stores / "image.zarr")).to_pylist())
    # As the peer joins: each profile with each of its image's six chunks. Its own join needs an
    # older DuckDB than ours.
    rows = [
        {"Metadata_ObjectID": "a", **assets.to_pylist()[0], "chunk_key": f"{n}"} for n in range(6)
    ]
    peer.export_table_to_cytomining_warehouse(
        pa.Table.from_pylist(rows),
        root,
        table_name="profiles.joined_profiles",
        role="joined_profiles",
        join_keys=["dataset_id", "image_id"],
        source_type="joined_profiles",
    )
    assert peer.validate_warehouse_manifest(root).is_valid
    found = broken(root)
    assert "profile_level" in found["Manifest 5"]
    assert "several rows have" in found["Profile Tables 4"]


def test_peers_appended_row_count_is_not_that_of_the_files(root: Path) -> None:
    for one in ("a", "b"):
        table = pa.table({"image_id": ["i"], "Metadata_ObjectID": [one]})
        _export_by_peer(root, table, "profiles.cell_profiles")
    assert "row_count is 1" in broken(root)["Independent and External Writes 8"]


def test_cosmicqc_among_the_profiles_as_the_peers_page_has_it(root: Path) -> None:
    table = pa.table({"image_id": ["i"], "Metadata_ObjectID": ["a"], "is_outlier": [True]})
    _export_by_peer(root, table, "profiles.cosmicqc_profiles")
    assert "quality_control" in broken(root)["Quality Control Tables 2"]


def test_quality_control_without_boolean_or_object(root: Path) -> None:
    _export_by_peer(root, pa.table({"score": [1.5]}), "quality_control.x", "quality_control")
    report = check_root(root)
    assert report.is_valid
    assert report.result("Quality Control Tables 3").outcome == "broken"
    assert report.result("Quality Control Tables 4").outcome == "broken"


def test_chunks_of_an_image_without_chunks(root: Path) -> None:
    keys = {"dataset_id": ["d"], "image_id": ["i"], "array_path": pa.array([None], pa.string())}
    shape = {"shape_json": ["[4]"], "dtype": ["uint8"]}
    assets = {**keys, **shape, "chunk_shape_json": pa.array([None], pa.string())}
    _export_by_peer(root, pa.table(assets), "images.image_assets", "image_assets")
    _export_by_peer(root, pa.table({**keys}), "images.chunk_index", "chunk_index")
    found = broken(root)["Image Namespace Data Conventions 4"]
    assert "image i has no chunks, and 1 rows" in found


def test_files_whose_types_differ_are_read_together(root: Path) -> None:
    for path, image in ((None, "a"), ("0", "b")):
        keys = {"dataset_id": ["d"], "image_id": [image], "array_path": [path]}
        shape = {"shape_json": ["[4]"], "dtype": ["uint8"], "chunk_shape_json": ["[2]"]}
        _export_by_peer(root, pa.table({**keys, **shape}), "images.image_assets", "image_assets")
        _export_by_peer(root, pa.table(keys), "images.chunk_index", "chunk_index")
    for number, value in (("1", "a"), ("2", 3)):
        table = pa.table({"image_id": [number], "Metadata_ObjectID": [value]})
        _export_by_peer(root, table, "profiles.cell_profiles")
    report = check_root(root)
    assert report.result("Image Namespace Data Conventions 4").outcome == "met"
    assert report.result("Profile Tables 4").outcome == "met"
