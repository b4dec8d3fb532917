"""A scan of an object store says what one of a disk says, and reads headers only."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tifffile

from cp_assets.datasets import PlateKey
from cp_assets.scanning import CHUNK_INDEX, chunk_index_batches, own_keys, scan, scan_all
from cp_assets.scanning.model import ScanResult
from cp_assets.stores import StoreSettings
from cp_assets_tests.scanning import stores
from cp_assets_tests.services.buckets import Bucket

PLATE = PlateKey("d", "b", "p")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of each kind."""
    tifffile.imwrite(tmp_path / "a.tif", stores.PIXELS[0, 0], metadata=None)
    tifffile.imwrite(tmp_path / "b.ome.tif", stores.PIXELS, ome=True, tile=(16, 16))
    tifffile.imwrite(tmp_path / "c.tif", stores.PIXELS[0], photometric="minisblack")
    stores.write_plate(tmp_path / "d.zarr", 2)
    stores.write_pyramid(tmp_path / "e.zarr", 3)
    stores.write_array(tmp_path / "f.zarr", stores.PIXELS + 1, 3, shards=(1, 2, 32, 32))
    return tmp_path


def named(result: ScanResult, old: str, new: str) -> ScanResult:
    """The result as if the store had another name."""
    assets = tuple(
        dataclasses.replace(asset, uri=asset.uri.replace(old, new)) for asset in result.image_assets
    )
    return dataclasses.replace(
        result, source_uri=result.source_uri.replace(old, new), image_assets=assets
    )


def test_same_as_on_a_disk(folder: Path, bucket: Bucket) -> None:
    root = bucket.put(folder)
    found = [named(result, str(root), str(folder)) for result in scan_all(root)]
    assert found == list(scan_all(str(folder)))


def chunks_of(results: list[ScanResult], settings: StoreSettings | None) -> list[dict[str, Any]]:
    assets = [(asset, own_keys(asset)) for result in results for asset in result.image_assets]
    batches = chunk_index_batches(PLATE, assets, settings)
    return pa.Table.from_batches(batches, CHUNK_INDEX.schema).to_pylist()


def test_same_chunks_as_on_a_disk(folder: Path, bucket: Bucket) -> None:
    root = bucket.put(folder)
    settings = StoreSettings({"s3://": bucket.options()})
    found = chunks_of(list(scan_all(str(root), settings)), settings)
    for row in found:
        row["uri"] = row["uri"].replace(str(root), str(folder))
        row["file"] = row["file"].replace(str(root), str(folder))
    assert found == chunks_of(list(scan_all(str(folder))), None)


def test_only_the_beginning_is_read(tmp_path: Path, bucket: Bucket) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((1000, 1000), np.uint16), metadata=None)
    root = bucket.put(tmp_path)
    scan(root / "a.tif")
    (request,) = bucket.requests
    assert request.range == "bytes=0-65535"
