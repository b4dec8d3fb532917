"""Plates that hold what no writer of ours would write."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from cp_assets.building.rejected import REJECTED_ROWS
from cp_assets.checks.asset_checks import CHECKS
from cp_assets.checks.outcome import Outcome, PlateTables
from cp_assets.datasets import Dataset, PlateSources, find_plates
from cp_assets.sample import SampleTruth
from cp_assets.warehouse.rows import PartitionRows
from cp_assets.warehouse.spec import TableSpec
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets.warehouse.writer import write_partition

SPECS = {spec.identifier[1]: spec for spec in (*CHECKS, REJECTED_ROWS)}
Change = Callable[[pa.Table], pa.Table]


@pytest.fixture(scope="session")
def sources(small_sample: SampleTruth) -> PlateSources:
    """The first plate of the sample."""
    return next(iter(find_plates(Dataset(dataset_id="sample", root=small_sample.root)).values()))


@dataclasses.dataclass
class Bench:
    """Runs checks on the sample's plate, whole or tampered with."""

    built: Warehouse
    sources: PlateSources
    folder: Path

    def good(self) -> PlateTables:
        """The plate as it was built."""
        return PlateTables(self.built, self.sources, duckdb.connect())

    def tampered(self, **changes: Change | None) -> PlateTables:
        """The plate in a warehouse of its own, with only these tables; None keeps one as it is."""
        warehouse = open_warehouse(self.folder / "tampered", create=True)
        for name, change in changes.items():
            self._copy(SPECS[name], change, warehouse)
        return PlateTables(warehouse, self.sources, duckdb.connect())

    def _copy(self, spec: TableSpec, change: Change | None, warehouse: Warehouse) -> None:
        scope = self.sources.key.columns()
        pieces = list(PartitionRows(self.built, spec.name, scope).batches())
        if change is not None:
            pieces = [b for p in pieces for b in change(pa.Table.from_batches([p])).to_batches()]
        # As another program may have made the table: nothing required, types as in the rows.
        fields = {
            f.name: f.with_nullable(True).with_metadata(None) for p in pieces for f in p.schema
        }
        for name in spec.partition_columns:
            fields.setdefault(name, pa.field(name, pa.string()))
        lenient = dataclasses.replace(spec, schema=pa.schema(list(fields.values())))
        write_partition(warehouse, lenient, scope, pieces, "tampered")


@pytest.fixture
def bench(built: Warehouse, sources: PlateSources, tmp_path: Path) -> Bench:
    return Bench(built, sources, tmp_path)


def run(table: str, check: str, tables: PlateTables) -> Outcome:
    """Run one check of a table by name."""
    spec = SPECS[table]
    (found,) = [one for one in CHECKS[spec] if one.name == check]
    return found.run(tables, spec)


def with_values(column: str, values: Mapping[int, object]) -> Change:
    """Replace the values of some rows; those of further rows stay."""

    def change(rows: pa.Table) -> pa.Table:
        if column not in rows.column_names:
            return rows
        new = rows[column].to_pylist()
        for row, value in values.items():
            if row < len(new):
                new[row] = value
        at = rows.column_names.index(column)
        kind = rows.schema.field(at).type
        return rows.set_column(at, pa.field(column, kind), pa.array(new, kind))

    return change


def without(*columns: str) -> Change:
    """Leave columns out."""
    return lambda rows: rows.drop_columns([name for name in columns if name in rows.column_names])


def twice(rows: pa.Table) -> pa.Table:
    """The first row a second time."""
    return pa.concat_tables([rows, rows.slice(0, 1)])


def cast(column: str, kind: pa.DataType) -> Change:
    """Give a column another type."""

    def change(rows: pa.Table) -> pa.Table:
        if column not in rows.column_names:
            return rows
        at = rows.column_names.index(column)
        return rows.set_column(at, column, rows[column].cast(kind))

    return change
