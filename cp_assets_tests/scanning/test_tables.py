"""Scans as rows of the warehouse's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tifffile
from iceberg_bioimage.api import scan_as_arrow_table

from cp_assets.arrow_types import iceberg_native
from cp_assets.datasets import PlateKey
from cp_assets.scanning import (
    CHUNK_INDEX,
    IMAGE_ASSETS,
    AssetKeys,
    image_assets_batches,
    own_keys,
    scan,
)
from cp_assets.warehouse.spec import TableSpec
from cp_assets_tests.scanning import stores

PLATE = PlateKey("a", "unbatched", "a")


@pytest.mark.parametrize("spec", [IMAGE_ASSETS, CHUNK_INDEX])
def test_types_are_those_of_iceberg(spec: TableSpec) -> None:
    assert [iceberg_native(field.type) for field in spec.schema] == spec.schema.types


def rows_of(path: Path) -> list[dict[str, Any]]:
    assets = [(asset, own_keys(asset)) for asset in scan(path).image_assets]
    batches = image_assets_batches(PLATE, assets)
    return pa.Table.from_batches(batches, IMAGE_ASSETS.schema).to_pylist()


def test_columns_of_iceberg_bioimage(tmp_path: Path) -> None:
    stores.write_pyramid(tmp_path / "a.zarr", 2)
    expected = scan_as_arrow_table(str(tmp_path / "a.zarr")).sort_by("image_id")
    found = pa.Table.from_pylist(rows_of(tmp_path / "a.zarr"))
    same = [name for name in expected.column_names if name != "metadata_json"]
    assert found.select(same).to_pylist() == expected.select(same).to_pylist()


def test_typed_columns(tmp_path: Path) -> None:
    stores.write_pyramid(tmp_path / "a.zarr", 3)
    row = rows_of(tmp_path / "a.zarr")[1]
    sizes = tuple(row[f"size_{axis}"] for axis in "tczyx")
    assert sizes == (1, 2, 3, 20, 25)
    assert row["channel_names"] == ["DNA", "ER"]
    assert (row["physical_size_x"], row["physical_size_z"]) == (1.0, 2.0)
    assert (row["axes"], row["storage_variant"], row["kind"]) == ("czyx", "zarr-v3", "image")
    assert (row["dataset_id"], row["batch_id"], row["Metadata_Plate"]) == ("a", "unbatched", "a")


def test_keys_of_a_plate(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stores.PIXELS[0, 0])
    (asset,) = scan(tmp_path / "a.tif").image_assets
    keys = AssetKeys(
        "set 1", "B03", "2", metadata_image_id="image 1", kind="mask", channel="OrigDNA"
    )
    (batch,) = image_assets_batches(PLATE, [(asset, keys)])
    (row,) = batch.to_pylist()
    assert (row["image_id"], row["Metadata_ImageID"]) == ("set 1", "image 1")
    assert (row["well_id"], row["Metadata_Well"], row["Metadata_Site"]) == ("B03", "B03", "2")
    assert (row["kind"], row["Metadata_Channel"]) == ("mask", "OrigDNA")


def test_own_keys_of_a_plate_of_ome_zarr(tmp_path: Path) -> None:
    stores.write_plate(tmp_path / "p.zarr")
    rows = rows_of(tmp_path / "p.zarr")
    assert {(row["well_id"], row["site_id"]) for row in rows} == {
        (well, site) for well in ("A01", "B02") for site in "01"
    }


def test_batches_are_bounded(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stores.PIXELS[0, 0])
    (asset,) = scan(tmp_path / "a.tif").image_assets
    many = ((asset, AssetKeys(str(number))) for number in range(10_000))
    sizes = [batch.num_rows for batch in image_assets_batches(PLATE, many)]
    assert sum(sizes) == 10_000
    assert max(sizes) <= 4096
