"""What a check works on and what it finds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import pyarrow as pa
from duckdb import DuckDBPyConnection

from cp_assets.datasets import PlateKey, PlateSources
from cp_assets.warehouse.rows import PartitionRows
from cp_assets.warehouse.spec import TableSpec
from cp_assets.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class PlateTables:
    """The tables of one plate, for checks to read; each table is loaded once, at one snapshot."""

    warehouse: Warehouse
    sources: PlateSources
    duckdb: DuckDBPyConnection
    _loaded: dict[str, PartitionRows] = field(default_factory=dict)

    @property
    def plate(self) -> PlateKey:
        """The plate."""
        return self.sources.key

    def rows(self, table: str) -> PartitionRows:
        """The plate's rows of a table, as they were written; none if the table does not exist."""
        if table not in self._loaded:
            self._loaded[table] = PartitionRows(self.warehouse, table, self.plate.columns())
        return self._loaded[table]

    def register(self, name: str, table: str, columns: Sequence[str]) -> bool:
        """Make columns of the plate's rows known to DuckDB as a stream, to be read once.

        Returns False if there are no rows, or not with these columns.
        """
        batches = (b for b in self.rows(table).batches(columns) if len(b.schema) == len(columns))
        first = next(batches, None)
        if first is None:
            return False
        together = chain([first], (batch.cast(first.schema) for batch in batches))
        self.duckdb.register(name, pa.RecordBatchReader.from_batches(first.schema, together))
        return True


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes
    ----------
    summary
        One sentence.
    figures
        Numbers and texts for the UI.
    """

    passed: bool
    summary: str
    figures: Mapping[str, int | float | str] = field(default_factory=dict)


def first_of(found: Sequence[str], shown: int = 5) -> list[str]:
    """The first of many faults or names, and how many more there are."""
    more = [f"and {len(found) - shown} more"] if len(found) > shown else []
    return [*found[:shown], *more]


def outcome_of(faults: list[str], held: str, figures: Mapping[str, int | float | str]) -> Outcome:
    """An outcome that passes if there is no fault."""
    return Outcome(not faults, "; ".join(faults) if faults else held, figures)


@dataclass(frozen=True)
class TableCheck:
    """One check of one table.

    Attributes
    ----------
    blocking
        Whether a failure holds back what is downstream; a check that does not block warns.
    run
        Looks at a plate.
    """

    name: str
    description: str
    run: Callable[[PlateTables, TableSpec], Outcome]
    blocking: bool = True
