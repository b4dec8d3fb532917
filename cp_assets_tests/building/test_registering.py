"""Image stores that are registered by themselves."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from cp_assets.building.registering import register
from cp_assets.errors import ImageReadError, StoreError
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.services.buckets import Bucket
from cp_assets_tests.warehouses import rejected, snapshots

PIXELS = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50)
ASSETS, CHUNKS = "images.image_assets", "images.chunk_index"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images of one name, and a chunked one."""
    folder = tmp_path / "screen"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        tifffile.imwrite(folder / name / "1.tif", PIXELS)
    zarr.create_array(folder / "c.zarr", data=PIXELS, chunks=(20, 25))
    return folder


def test_store_is_called_by_its_name(folder: Path, warehouse: Warehouse) -> None:
    done = register(folder / "c.zarr", warehouse)
    assert str(done.plate) == "c/unbatched/c"
    (row,) = warehouse.read_table(ASSETS).to_pylist()
    assert (row["dataset_id"], row["image_id"], row["uri"]) == ("c", "c", str(folder / "c.zarr"))
    assert warehouse.read_table(CHUNKS).num_rows == 4
    assert done.to_dict()["image_assets_rows_published"] == 1
    assert done.to_dict()["chunk_rows_published"] == 4


def test_stores_of_a_folder_are_one_dataset(folder: Path, warehouse: Warehouse) -> None:
    register(folder, warehouse, dataset_id="d", batch_id="B", plate_id="P")
    rows = warehouse.read_table(ASSETS, dataset="d", batch="B", plate="P").to_pylist()
    assert [row["image_id"] for row in rows] == ["a/1", "b/1", "c"]


def test_path_is_absolute(
    folder: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    register("a/1.tif", warehouse)
    register(".", warehouse)
    found = set(warehouse.read_table(ASSETS)["uri"].to_pylist())
    assert found == {str(folder / name) for name in ("a/1.tif", "b/1.tif", "c.zarr")}
    assert {key.dataset_id for key in warehouse.plates(ASSETS)} == {"1", "screen"}


def test_again_it_changes_nothing_until_a_store_does(folder: Path, warehouse: Warehouse) -> None:
    register(folder, warehouse)
    before = snapshots(warehouse)
    again = register(folder, warehouse)
    assert {one.state for one in again.tables} == {"unchanged"}
    assert snapshots(warehouse) == before
    tifffile.imwrite(folder / "a" / "2.tif", PIXELS)
    shutil.rmtree(folder / "b")
    register(folder, warehouse)
    assert warehouse.read_table(ASSETS)["image_id"].to_pylist() == ["a/1", "a/2", "c"]


def test_what_cannot_be_read_is_in_the_books(folder: Path, warehouse: Warehouse) -> None:
    (folder / "b" / "1.tif").write_bytes(b"II*\x00")
    done = register(folder, warehouse)
    assert done.to_dict()["unreadable"] == 1
    (row,) = warehouse.read_table("rejected_rows").to_pylist()
    assert (row["reason"], row["outcome"]) == ("unreadable_image", "rejected")
    assert row["source_file"] == str(folder / "b" / "1.tif")


def test_nothing_is_made_where_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="no-such"):
        register(tmp_path / "no-such", tmp_path / "warehouse")
    assert not (tmp_path / "warehouse").exists()


def test_folder_in_a_store(folder: Path, bucket: Bucket, tmp_path: Path) -> None:
    root = bucket.put(folder)
    opened = open_warehouse(tmp_path / "warehouse", create=True)
    register(root, opened, dataset_id="d")
    rows = opened.read_table(ASSETS).to_pylist()
    assert [row["image_id"] for row in rows] == ["a/1", "b/1", "c"]
    assert rows[0]["uri"] == f"{root}/a/1.tif"
    assert opened.read_table(CHUNKS).num_rows == 4


def test_chunks_that_cannot_be_listed_are_in_the_books(folder: Path, warehouse: Warehouse) -> None:
    bad = folder / "bad.zarr"
    zarr.create_array(bad, data=PIXELS + 1, chunks=(10, 10), shards=(40, 50))
    (bad / "c" / "0" / "0").write_bytes(b"cut")
    done = register(folder, warehouse)
    assert warehouse.read_table(CHUNKS).num_rows == 4
    assert done.to_dict()["unreadable"] == 1
    (row,) = rejected(warehouse, CHUNKS)
    assert (row["kind"], row["reason"], row["outcome"]) == (
        "image",
        "unreadable_chunks",
        "rejected",
    )
    assert (row["source_file"], row["image_id"]) == (str(bad), "bad")


def test_fault_of_the_store_ends_the_run(
    folder: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("no access")

    zarr.create_array(folder / "bad.zarr", data=PIXELS + 1, chunks=(10, 10), shards=(40, 50))
    monkeypatch.setattr("cp_assets.scanning.chunk_places.read_shard_index", refuse)
    with pytest.raises(StoreError, match="no access"):
        register(folder, warehouse)
