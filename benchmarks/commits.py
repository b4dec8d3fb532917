"""One more plate into a table of a thousand plates, against a table of ten."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog

from benchmarks.context import Context, interleaved, progress
from benchmarks.data import SEED
from benchmarks.results import Goal, Measurement, Row, Samples
from cp_assets.datasets import PlateKey
from cp_assets.warehouse.catalog_properties import catalog_properties
from cp_assets.warehouse.spec import KEY_COLUMNS, TableSpec, column
from cp_assets.warehouse.sql_catalog import RememberingSqlCatalog
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets.warehouse.writer import write_partition
from cp_assets_tests.services.postgres import find_postgres, running_postgres

SPEC = TableSpec(
    name="profiles.small",
    doc="partitions of one row, so that a write is little more than its commit",
    schema=pa.schema([*KEY_COLUMNS, column("number", pa.int64(), "a number", required=True)]),
)
GOAL = Goal(1.5)


def measure(context: Context) -> Measurement:
    """Commits on SQLite and PostgreSQL, wall time and CPU, new plates in no order."""
    few, many, repeats = (10, 50, 5) if context.quick else (10, 1000, 40)
    rows: list[Row] = []
    with _catalogs(context) as catalogs:
        for name, uri in catalogs.items():
            tables = {
                size: _Growing(_warehouse(uri, f"{name}{size}", context.folder), size)
                for size in (few, many)
            }
            progress(f"{name}: tables of {few} and {many} plates are written")
            for what, clock in (("seconds", time.perf_counter), ("CPU", time.process_time)):
                sides = {str(size): table.timed(clock) for size, table in tables.items()}
                found = interleaved(sides, repeats, "ms")
                rows.append(_row(name, what, found[str(many)], found[str(few)], (few, many)))
    notes = (
        "A write of a partition of one row: data file, manifest, manifest list, metadata, catalog.",
        "`ours` is the table of many plates, `floor` the table of few; plates come in no order.",
        "Tables lie on local disk, fsync of PostgreSQL is off; each catalog is warm.",
    )
    return Measurement("commits", tuple(rows), notes)


class _Growing:
    """A table that so many plates were written into, one after the other."""

    def __init__(self, warehouse: Warehouse, plates: int) -> None:
        self._warehouse = warehouse
        self._names = iter(np.random.default_rng(SEED).permutation(100_000))
        for _ in range(plates):
            self._write()

    def timed(self, clock: Callable[[], float]) -> Callable[[], float]:
        """One more plate; gives the milliseconds that it took."""

        def run() -> float:
            start = clock()
            self._write()
            return 1000 * (clock() - start)

        return run

    def _write(self) -> None:
        scope = PlateKey("d", "b", f"P{next(self._names):06d}").columns()
        values = {**scope, "well_id": "A01", "site_id": "1", "image_id": "i", "number": 1}
        rows = pa.RecordBatch.from_pylist([values])
        write_partition(self._warehouse, SPEC, scope, iter([rows]), "f")


@contextmanager
def _catalogs(context: Context) -> Iterator[Mapping[str, str]]:
    """Kind of catalog -> URI."""
    sqlite = f"sqlite:///{context.folder / 'catalog.db'}"
    programs = find_postgres()
    if programs is None:
        msg = "no PostgreSQL on PATH or in /usr/lib/postgresql"
        raise FileNotFoundError(msg)
    with running_postgres(programs) as server:
        yield {"SQLite": sqlite, "PostgreSQL": server.url(server.make_database())}


def _warehouse(uri: str, name: str, folder: Path) -> Warehouse:
    properties = catalog_properties({"uri": uri, "warehouse": f"file://{folder / name}"})
    catalog: Catalog = RememberingSqlCatalog(name, **properties)
    return Warehouse(catalog, name)


def _row(catalog: str, what: str, many: Samples, few: Samples, sizes: tuple[int, int]) -> Row:
    return Row(
        what=f"one more plate, {catalog}, {what}",
        ours=many,
        floor=few,
        figure=many.median / few.median,
        figure_is=f"{sizes[1]:,} plates / {sizes[0]} plates",
        goal=GOAL,
    )
