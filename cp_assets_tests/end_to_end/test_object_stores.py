"""A plate in a bucket: the rows that it gives on a disk, whatever passes, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cp_assets
from cp_assets.errors import StoreUnavailableError
from cp_assets.sample import SampleOptions, SampleTruth, write_sample
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.services.buckets import Bucket
from cp_assets_tests.services.faults import Fault
from cp_assets_tests.services.faulty import FaultyS3
from cp_assets_tests.warehouses import ROW_TABLES, assert_same_rows, snapshots

OPTIONS = SampleOptions(plates=1, wells=1, sites=3, cells=8, seed=5, image_size=(110, 130))
TABLES = (*ROW_TABLES[:-1], "images.source_images")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleTruth:
    return write_sample(tmp_path_factory.mktemp("sample") / OPTIONS.prefix, OPTIONS)


@pytest.fixture(scope="module")
def from_disk(sample: SampleTruth, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return _convert(sample.root, tmp_path_factory.mktemp("disk") / "warehouse")


def _convert(root: Any, warehouse: Any, **options: Any) -> Warehouse:
    return cp_assets.convert(
        root, warehouse, dataset_id="sample", include_source_images=True, **options
    )


def test_a_sample_gives_the_rows_that_it_gives_on_disk(
    sample: SampleTruth, bucket: Bucket, from_disk: Warehouse, tmp_path: Path, faulty: FaultyS3
) -> None:
    root = bucket.put(sample.root)
    faulty.play(
        Fault("slow_down", probability=0.1, times=3),
        Fault("reset", probability=0.1, times=3),
        Fault("short", operation="GetObject", probability=0.1, times=3),
        seed=2,
    )
    assert_same_rows(_convert(root, tmp_path / "warehouse"), from_disk, tables=TABLES)
    # A listing says of each image what a request would.
    images = [one for one in bucket.requests if one.path.endswith((".tif", ".tiff", ".png"))]
    assert {one.operation for one in images} == {"GetObject"}


def test_a_store_that_fails_leaves_the_tables_as_they_were(
    sample: SampleTruth, bucket: Bucket, from_disk: Warehouse, tmp_path: Path, faulty: FaultyS3
) -> None:
    root = bucket.put(sample.root, attempts=2)
    warehouse = _convert(root, tmp_path / "warehouse")
    before = snapshots(warehouse)
    faulty.play(Fault("reset", operation="GetObject", path="*.tif*", after=9))
    with pytest.raises(StoreUnavailableError, match="the connection failed"):
        _convert(root, warehouse, force=True, padding=3)
    after = snapshots(warehouse)
    assert after["images.image_crops"] == before["images.image_crops"]
    faulty.calm()
    assert_same_rows(_convert(root, warehouse), from_disk, tables=TABLES)


def test_example_human_gives_the_rows_that_it_gives_on_disk(
    test_data: Path, bucket: Bucket, tmp_path: Path
) -> None:
    folder = test_data / "example_human"
    wanted, got = (
        cp_assets.convert(
            root, tmp_path / name, image_dir=root, dataset_id="d", batch_id="b", plate_id="p"
        )
        for name, root in (("disk", folder), ("store", bucket.put(folder)))
    )
    assert_same_rows(got, wanted, tables=ROW_TABLES[:-1])
