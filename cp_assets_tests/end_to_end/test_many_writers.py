"""Sixteen processes and sixty-four plates: the rows are those of one process, plate by plate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cp_assets.conversion import convert
from cp_assets.sample import SampleOptions, SampleTruth, write_sample
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.services.postgres import Postgres
from cp_assets_tests.services.s3 import S3Server
from cp_assets_tests.warehouse.configured import catalog_of, configured
from cp_assets_tests.warehouse.writers import write_at_once
from cp_assets_tests.warehouses import ROW_TABLES

# Each half a minute on two quiet cores; the time is for a machine that does other things too.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PLATES, PROCESSES = 64, 16
MANIFEST = "provenance.manifest"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleTruth:
    options = SampleOptions(plates=PLATES, wells=1, sites=1, cells=5, seed=8, image_size=(128, 128))
    return write_sample(tmp_path_factory.mktemp("many") / options.prefix, options)


@pytest.fixture(scope="module")
def one_by_one(sample: SampleTruth, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    folder = tmp_path_factory.mktemp("one") / "warehouse"
    return convert(sample.root, folder, dataset_id="sample")


@pytest.fixture(params=["folder", "postgres-folder"])
def place(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres, s3_server: S3Server
) -> Iterator[str]:
    """A warehouse that nobody has made yet: a folder, or a catalog that is configured."""
    if request.param == "folder":
        yield str(tmp_path / "new")
        return
    with (
        catalog_of(request.param, tmp_path, postgres, s3_server) as properties,
        configured({"lab": properties}, tmp_path),
    ):
        yield "lab"


def rows(warehouse: Warehouse, name: str) -> pa.Table:
    """All rows, by plate; within a plate in the order of its files."""
    table = warehouse.table(name).scan().to_arrow()
    return table.take(pc.sort_indices(table["plate_id"])).select(sorted(table.column_names))


def test_writers_at_once_lose_nothing_and_double_nothing(
    sample: SampleTruth, one_by_one: Warehouse, place: str, tmp_path: Path
) -> None:
    assert write_at_once(PROCESSES, sample.root, place, tmp_path) == [0] * PROCESSES
    warehouse = open_warehouse(place)
    assert warehouse.list_tables() == one_by_one.list_tables()
    for name in (set(ROW_TABLES) | {MANIFEST}) & set(one_by_one.list_tables()):
        table = warehouse.table(name)
        assert len(table.snapshots()) == len(one_by_one.table(name).snapshots()), name
        if name != MANIFEST:
            assert rows(warehouse, name).equals(rows(one_by_one, name)), name
    manifest = warehouse.read_table(MANIFEST, columns=["plate_id"])
    counted = one_by_one.read_table(MANIFEST, columns=["plate_id"])
    assert sorted(manifest[0].to_pylist()) == sorted(counted[0].to_pylist())
