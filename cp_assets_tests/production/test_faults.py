"""A plate that is built anew while S3 or PostgreSQL fail: rows as on a quiet day, and no orphan.

Beside it all a reader looks, which sees the plate as it was or as it is.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping
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
from cp_assets.sample import SampleOptions, write_sample
from cp_assets.stores import ObjectPath
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.end_to_end.states import Reader, ReaderBeside
from cp_assets_tests.services.buckets import Bucket
from cp_assets_tests.services.faults import Fault, Kind
from cp_assets_tests.services.faulty import FaultyS3
from cp_assets_tests.services.postgres import Postgres
from cp_assets_tests.services.s3 import S3Endpoint, S3Server
from cp_assets_tests.warehouse.configured import catalog_of, configured
from cp_assets_tests.warehouses import ROW_TABLES, assert_same_rows

OLD, NEW = (
    SampleOptions(plates=1, wells=1, sites=2, cells=cells, seed=cells, image_size=(100, 110))
    for cells in (6, 9)
)
DATASET = "d"
TABLES = ROW_TABLES[:-1]
AT_ONCE = MaintenanceOptions(timedelta(), 1, timedelta())
_TRIES = 20
_SHORT = {"s3.request-timeout": "2", "s3.connect-timeout": "2"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Plate:
    """A plate's files as they were and as they are, and the warehouse of a quiet day."""

    old: Path
    new: Path
    quiet: Warehouse


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Plate:
    folder = tmp_path_factory.mktemp("plate")
    old, new = (write_sample(folder / str(one.seed) / one.prefix, one).root for one in (OLD, NEW))
    return Plate(old, new, cp_assets.convert(new, folder / "warehouse", dataset_id=DATASET))


@dataclass(frozen=True)
class Lab:
    """The configured catalog ``lab``, in PostgreSQL, of a warehouse on S3 that may fail."""

    properties: Mapping[str, str]
    s3: FaultyS3
    calm: S3Endpoint

    def reading(self) -> Reader:
        """Open an independent reader, which S3 does not fail."""
        return Reader.configured("lab", {**self.properties, **self.calm.pyiceberg()})

    @contextmanager
    def with_reader(self, plate: Plate) -> Iterator[None]:
        """Hold the plate, built once before, to be seen as it was or as it is, and nothing else."""
        cp_assets.convert(plate.old, "lab", dataset_id=DATASET)
        with self.reading() as reader:
            before = reader.counts(DATASET)
        after = {name: plate.quiet.table(name).scan().count() for name in plate.quiet.list_tables()}
        assert after["images.image_crops"] != before["images.image_crops"] > 0
        beside = ReaderBeside(self.reading, DATASET, (before, after))
        with beside:
            yield
        assert not beside.faults
        assert beside.looks


@pytest.fixture
def lab(faulty: FaultyS3, s3_server: S3Server, postgres: Postgres, tmp_path: Path) -> Iterator[Lab]:
    """A lab without tables."""
    with (
        catalog_of("postgres-s3", tmp_path, postgres, faulty) as properties,
        configured({"lab": {**properties, **_SHORT}}, tmp_path),
    ):
        yield Lab(properties, faulty, s3_server)


def built_in_the_end(root: ObjectPath) -> Warehouse:
    """Build a plate, again where a fault passes by itself, as the steps of a run do."""
    for _ in range(_TRIES):
        try:
            return cp_assets.convert(root, "lab", dataset_id=DATASET)
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
def test_plate_is_built_while_s3_fails(kind: Any, plate: Plate, bucket: Bucket, lab: Lab) -> None:
    root = bucket.put(plate.new, timeout_seconds=2.0)
    with lab.with_reader(plate):
        lab.s3.play(Fault(kind, probability=0.03, times=12, seconds=4), seed=3)
        built = cp_assets.convert(root, "lab", dataset_id=DATASET)
        lab.s3.calm()
    check(built, plate.quiet)


def test_plate_is_built_while_postgresql_restarts(
    plate: Plate, bucket: Bucket, lab: Lab, postgres: Postgres
) -> None:
    root = bucket.put(plate.new)
    chance, over = random.Random(4), threading.Event()  # noqa: S311 - chance in a test

    restarted = 0

    def restart_often() -> None:
        nonlocal restarted
        # Less and less often: a busy machine gets through in the end, too.
        while not over.wait(chance.uniform(0.2, 0.8) * 1.15**restarted):
            postgres.restart(crash=True)
            restarted += 1

    restarts = threading.Thread(target=restart_often)
    with lab.with_reader(plate):
        restarts.start()
        try:
            built = built_in_the_end(root)
        finally:
            over.set()
            restarts.join()
    assert restarted
    check(built, plate.quiet)
