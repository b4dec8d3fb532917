"""A plate that is built while S3 or PostgreSQL fail: the rows of a quiet day, and no orphan."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

import cp_assets
from cp_assets.building.maintaining import maintain_warehouse
from cp_assets.datasets.maintenance import MaintenanceOptions
from cp_assets.errors import PassingFaultError
from cp_assets.sample import SampleOptions, SampleTruth, write_sample
from cp_assets.stores import ObjectPath
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.services.buckets import Bucket
from cp_assets_tests.services.faults import Fault, Kind
from cp_assets_tests.services.faulty import FaultyS3
from cp_assets_tests.services.postgres import Postgres
from cp_assets_tests.warehouse.configured import catalog_of, configured
from cp_assets_tests.warehouses import ROW_TABLES, assert_same_rows

OPTIONS = SampleOptions(plates=1, wells=1, sites=2, cells=6, seed=6, image_size=(100, 110))
TABLES = ROW_TABLES[:-1]
AT_ONCE = MaintenanceOptions(timedelta(), 1, timedelta())
_TRIES = 20
_SHORT = {"s3.request-timeout": "2", "s3.connect-timeout": "2"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Plate:
    """A plate's files, and the warehouse that they give on a quiet day."""

    truth: SampleTruth
    quiet: Warehouse


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Plate:
    folder = tmp_path_factory.mktemp("plate")
    truth = write_sample(folder / OPTIONS.prefix, OPTIONS)
    return Plate(truth, cp_assets.convert(truth.root, folder / "warehouse", dataset_id="d"))


@contextmanager
def lab(folder: Path, postgres: Postgres, s3: FaultyS3) -> Iterator[str]:
    """A warehouse on S3 with its catalog in PostgreSQL; gives its name."""
    with (
        catalog_of("postgres-s3", folder, postgres, s3) as properties,
        configured({"lab": {**properties, **_SHORT}}, folder),
    ):
        yield "lab"


def built_in_the_end(root: ObjectPath, name: str) -> Warehouse:
    """Build a plate, again where a fault passes by itself, as the steps of a run do."""
    for _ in range(_TRIES):
        try:
            return cp_assets.convert(root, name, dataset_id="d")
        except PassingFaultError:
            time.sleep(0.2)
    pytest.fail(f"{_TRIES} runs failed")


def check(built: Warehouse, quiet: Warehouse) -> None:
    """Hold that the rows are those of a quiet day, before and after maintenance at once."""
    assert_same_rows(built, quiet, tables=TABLES)
    list(maintain_warehouse(built, options=AT_ONCE))
    again = open_warehouse("lab")
    health = [one.health for one in maintain_warehouse(again, options=AT_ONCE, dry_run=True)]
    assert [one.orphans for one in health] == [0] * len(health)
    assert_same_rows(again, quiet, tables=TABLES)


@pytest.mark.parametrize("kind", [one for one in get_args(Kind) if one != "truncated"])
def test_plate_is_built_while_s3_fails(
    kind: Any,
    plate: Plate,
    bucket: Bucket,
    faulty: FaultyS3,
    postgres: Postgres,
    tmp_path: Path,
) -> None:
    root = bucket.put(plate.truth.root, timeout_seconds=2.0)
    with lab(tmp_path, postgres, faulty) as name:
        faulty.play(Fault(kind, probability=0.03, times=12, seconds=4), seed=3)
        built = cp_assets.convert(root, name, dataset_id="d")
        faulty.calm()
        check(built, plate.quiet)


def test_plate_is_built_while_postgresql_restarts(
    plate: Plate,
    bucket: Bucket,
    faulty: FaultyS3,
    postgres: Postgres,
    tmp_path: Path,
) -> None:
    root = bucket.put(plate.truth.root)
    chance, over = random.Random(4), threading.Event()  # noqa: S311 - chance in a test

    def restart_often() -> None:
        while not over.wait(chance.uniform(0.2, 0.8)):
            postgres.restart(crash=True)

    with lab(tmp_path, postgres, faulty) as name:
        restarts = threading.Thread(target=restart_often)
        restarts.start()
        try:
            built = built_in_the_end(root, name)
        finally:
            over.set()
            restarts.join()
        check(built, plate.quiet)
