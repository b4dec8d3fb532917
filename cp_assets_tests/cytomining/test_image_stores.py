"""Roots straight from image stores; the peer reads them, and its Iceberg helpers our warehouse."""

from __future__ import annotations

import json
from pathlib import Path

import iceberg_bioimage as peer
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
import zarr

from cp_assets.building.registering import register
from cp_assets.cytomining import ImageOptions, check_root, export, export_images
from cp_assets.errors import ImageReadError, WarehouseRootError
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.cytomining.conftest import read_folder

PEERS = ("dataset_id", "image_id", "array_path", "format_family", "dtype", "uri")
"""Columns of image_assets that the peer has too, and of which the values are the same."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A Zarr v2 array of six chunks, the last ones clipped."""
    path = tmp_path / "image.zarr"
    array = zarr.create_array(path, shape=(20, 25), chunks=(10, 10), dtype="uint16", zarr_format=2)
    array[:] = np.arange(500, dtype=np.uint16).reshape(20, 25)
    return path


def test_store_is_a_root_as_the_peer_has_it(store: Path, root: Path, tmp_path: Path) -> None:
    export_images([store], root)
    theirs = tmp_path / "theirs"
    peer.export_store_to_cytomining_warehouse(str(store), theirs)
    for table in ("images.image_assets", "images.chunk_index"):
        ours, expected = read_folder(root, table), read_folder(theirs, table)
        same = [name for name in PEERS if name in expected.column_names]
        assert _sorted(ours, same) == _sorted(expected, same)
    assert [json.loads(one) for one in _column(root, "shape_json")] == [[20, 25]]
    chunks = read_folder(root, "images.chunk_index")
    expected = read_folder(theirs, "images.chunk_index")
    assert sorted(map(json.loads, chunks["chunk_coords_json"].to_pylist())) == sorted(
        map(json.loads, expected["chunk_coords_json"].to_pylist())
    )
    assert check_root(root).is_valid
    assert not check_root(root).warnings


def _sorted(table: pa.Table, columns: list[str]) -> list[str]:
    return sorted(str(row) for row in table.select(columns).to_pylist())


def _column(root: Path, name: str) -> list[str]:
    return read_folder(root, "images.image_assets")[name].to_pylist()


def test_images_without_chunks_have_no_chunk_index(test_data: Path, root: Path) -> None:
    done = export_images([test_data / "ome_tiff"], root)
    assert list(done.row_counts) == ["images.image_assets"]
    assert peer.validate_warehouse_manifest(root).is_valid
    assert check_root(root).is_valid


def test_paths_are_added_and_the_same_again_replaced(
    store: Path, root: Path, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "flat.tif", np.zeros((8, 9), np.uint8))
    export_images([store], root)
    for _ in range(2):
        export_images([tmp_path / "flat.tif"], root)
    assert sorted(_column(root, "dataset_id")) == ["flat", "image"]
    assert read_folder(root, "images.chunk_index").num_rows == 6
    export_images([tmp_path / "flat.tif"], root, mode="replace")
    assert _column(root, "dataset_id") == ["flat"]
    # The store without chunks leaves the table that is replaced without rows.
    assert read_folder(root, "images.chunk_index").num_rows == 0
    assert check_root(root).is_valid


def test_profiles_are_joined_to_their_images(store: Path, root: Path, tmp_path: Path) -> None:
    profiles = tmp_path / "cells.parquet"
    columns = {
        "Metadata_ImageID": ["image", "image", "other"],
        "Metadata_ObjectID": ["a", "b", "c"],
        "Cells_Area": [1.5, 2.5, 3.5],
    }
    pq.write_table(pa.table(columns), profiles)
    options = ImageOptions(profiles=profiles, profile_dataset_id="image")
    export_images([store], root, options)
    found = read_folder(root, "profiles.joined_profiles").sort_by("Metadata_ObjectID")
    assert found["Metadata_ObjectID"].to_pylist() == ["a", "b"]
    assert found["Cells_Area"].to_pylist() == [1.5, 2.5]
    assert found["shape_json"].to_pylist() == ["[20, 25]"] * 2
    report = check_root(root)
    assert report.is_valid, report.errors
    assert not report.warnings
    assert peer.validate_warehouse_manifest(root).is_valid


def test_paths_that_would_be_one_plate_are_refused(store: Path, root: Path) -> None:
    with pytest.raises(WarehouseRootError, match="name each of them once"):
        export_images([store, store], root)


def test_nothing_to_read_is_told_and_leaves_no_root(tmp_path: Path, root: Path) -> None:
    with pytest.raises(ImageReadError):
        export_images([tmp_path / "none.zarr"], root)
    assert not root.exists()


# The peer reads any namespace, and says that it would call ours images.cytotable.
_OTHER_NAMESPACE = "ignore:Namespace 'images' does not match:UserWarning"


@pytest.mark.filterwarnings(_OTHER_NAMESPACE)
def test_peer_reads_image_assets_of_root_and_warehouse(
    store: Path, root: Path, warehouse: Warehouse
) -> None:
    register(str(store), warehouse)
    export(warehouse, root)
    folder = str(root / "images" / "image_assets" / "*.parquet")
    ours = warehouse.read_table("image_assets")
    found = peer.query_metadata_table(
        folder, columns=list(PEERS), filters=[("dtype", "=", "uint16")]
    )
    assert found.to_pylist() == ours.select(list(PEERS)).to_pylist()
    assert peer.list_catalog_tables(warehouse.catalog, "images") == ["chunk_index", "image_assets"]
    through = peer.catalog_table_to_arrow(warehouse.catalog, "images", "image_assets")
    assert through.select(list(PEERS)).to_pylist() == ours.select(list(PEERS)).to_pylist()
    chunks = peer.catalog_table_to_arrow(warehouse.catalog, "images", "chunk_index")
    assert chunks.num_rows == read_folder(root, "images.chunk_index").num_rows == 6


@pytest.mark.filterwarnings(_OTHER_NAMESPACE)
def test_peer_joins_our_catalog_with_profiles(
    store: Path, warehouse: Warehouse, old_duckdb: None
) -> None:
    register(str(store), warehouse)
    profiles = pa.table({"Metadata_dataset_id": ["image"], "Metadata_ImageID": ["image"]})
    joined = peer.join_catalog_image_assets_with_profiles(
        warehouse.catalog, "images", profiles, chunk_index_table="chunk_index"
    )
    assert joined.num_rows == 6
    assert set(joined["dtype"].to_pylist()) == {"uint16"}


@pytest.fixture
def old_duckdb(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peer calls ``execute(...).arrow()``, which DuckDB 2 has as ``to_arrow_table``."""
    from iceberg_bioimage.integrations import duckdb as theirs

    class Connection:
        def __init__(self) -> None:
            self._own = __import__("duckdb").connect()

        def __getattr__(self, name: str) -> object:
            return getattr(self._own, name)

        def execute(self, sql: str) -> object:
            found = self._own.sql(sql)
            if found is None:
                return None
            return type("Result", (), {"arrow": lambda _: found.to_arrow_table()})()

    monkeypatch.setattr(theirs, "create_duckdb_connection", lambda *_, **__: Connection())


def test_chunks_that_cannot_be_listed_are_a_warning(
    store: Path, root: Path, tmp_path: Path
) -> None:
    pixels = np.ones((20, 30), dtype=np.uint16)
    zarr.create_array(tmp_path / "bad.zarr", data=pixels, chunks=(10, 10), shards=(20, 30))
    (tmp_path / "bad.zarr" / "c" / "0" / "0").write_bytes(b"cut")
    done = export_images([store, tmp_path / "bad.zarr"], root)
    assert read_folder(root, "images.chunk_index").num_rows == 6
    (warning,) = done.warnings
    assert "bad.zarr/c/0/0: a shard of 3 bytes" in warning
