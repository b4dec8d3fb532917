"""A real warehouse of three plates behind a REST catalog, and the engines that read it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyiceberg.table import Table

import cp_assets
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.engines import in_process
from cp_assets_tests.engines.asking import Engine, java_is_there, running
from cp_assets_tests.services.missing import missing
from cp_assets_tests.services.rest_catalog import rest_catalog
from cp_assets_tests.warehouse.configured import configured

PLATES = ("BR1", "Plate 2 (o'Brien's) 50%\\N", "BR3")
"""The second has a quote, a backslash and a file that cannot be read."""

TAG = "paper"
"""Names the state of each table when it had two plates."""


@dataclass(frozen=True, eq=False)
class Served:
    """A warehouse, its tables as they are, and how its catalog is found."""

    warehouse: Warehouse
    tables: dict[str, Table]
    catalog: dict[str, str]
    home: Path

    @property
    def places(self) -> dict[str, str]:
        """Table -> its metadata file."""
        return {name: table.metadata_location for name, table in self.tables.items()}


@pytest.fixture(scope="session")
def _served(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The plates of `PLATES`, one commit of each table a plate; only to be read."""
    human, folder = test_data / "example_human", tmp_path_factory.mktemp("engines")
    spoilt = Path(shutil.copytree(human, folder / "spoilt"))
    next(spoilt.glob("*d2.tif")).write_bytes(b"no image")
    stored = f"file://{folder}/warehouse"
    with rest_catalog(uri=f"sqlite:///{folder}/catalog.db", warehouse=stored) as server:
        rest = {"type": "rest", "uri": server.uri, "token": server.token}
        with configured({"lab": {**rest, "warehouse": stored}}, folder):
            for plate, source in zip(PLATES, (human, spoilt, human), strict=True):
                cp_assets.convert(
                    source,
                    "lab",
                    image_dir=source,
                    include_source_images=True,
                    dataset_id="human",
                    batch_id="B1",
                    plate_id=plate,
                )
                if plate == PLATES[1]:
                    _tag(open_warehouse("lab"))
            warehouse = open_warehouse("lab")
            tables = {name: warehouse.table(name) for name in warehouse.list_tables()}
            yield Served(warehouse, tables, rest, folder)


def _tag(warehouse: Warehouse) -> None:
    for name in warehouse.list_tables():
        table = warehouse.table(name)
        snapshot = table.current_snapshot()
        if snapshot is not None:
            table.manage_snapshots().create_tag(snapshot.snapshot_id, TAG).commit()


@pytest.fixture
def served(_served: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The warehouse, which is called ``lab``."""
    monkeypatch.setenv("PYICEBERG_HOME", str(_served.home))
    return _served


@pytest.fixture(scope="session")
def engine(
    _served: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Engine]]:
    """Name -> the engine, started once."""
    started: dict[str, Engine] = {}
    with ExitStack() as processes:

        def start(name: str) -> Engine:
            folder = tmp_path_factory.mktemp("answers")
            if name in in_process.READERS:
                return Engine(name, folder)
            if name == "Spark":
                if not java_is_there():
                    missing("no Java, which Spark needs")
                # The catalog of the tests has no call for the metrics of a scan.
                catalog = {**_served.catalog, "rest-metrics-reporting-enabled": "false"}
                one = running(name, "spark.py", "spark", folder, json.dumps(catalog))
            elif name == "DuckDB":
                one = running(name, "duckdb_iceberg.py", "readers", folder)
            else:
                one = running(name, "datafusion_rust.py", "readers", folder)
            return processes.enter_context(one)

        def get(name: str) -> Engine:
            if name not in started:
                started[name] = start(name)
            return started[name]

        yield get


@pytest.fixture(autouse=True)
def _plan_with_pyiceberg(monkeypatch: pytest.MonkeyPatch) -> None:
    # Polars can also plan scans with a plugin of its own, and warns where it is not installed.
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
