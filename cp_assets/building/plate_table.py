"""One plate's partition of one table, ready to be built: its inputs, and its rows as a stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cp_assets.building.rejected import REJECTED_ROWS, rejected_batches
from cp_assets.datasets.fingerprints import digest
from cp_assets.rejections import RejectionLog
from cp_assets.stages import Stage, stage_clock, timed
from cp_assets.warehouse.rows import PartitionRows
from cp_assets.warehouse.tables import find_table, open_table
from cp_assets.warehouse.writer import PartitionWrite, write_partition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa

    from cp_assets.datasets.identity import PlateKey
    from cp_assets.warehouse.partitions import PartitionState
    from cp_assets.warehouse.spec import TableSpec
    from cp_assets.warehouse.warehouse import Warehouse

_ANNOTATED = "+"


@dataclass(frozen=True)
class PlateTable:
    """A plate's partition of a table before it is written.

    Attributes
    ----------
    inputs
        Fingerprint of everything that the rows depend on, code version apart.
    rows
        Makes the stream of rows; takes the log for what cannot be used. Called at most once.
    columns_to_come
        Columns that the stream is likely to bring, see `write_partition`; None if unknown.
    annotation
        Fingerprint of what only adds columns that no other table reads; empty where nothing does.
    """

    spec: TableSpec
    plate: PlateKey
    inputs: str
    rows: Callable[[RejectionLog], Iterator[pa.RecordBatch]]
    columns_to_come: Callable[[], pa.Schema | None] = lambda: None
    annotation: str = ""

    @property
    def fingerprint(self) -> str:
        """Of inputs, code version and annotation: equal fingerprints mean equal rows."""
        measured = digest([self.spec.name, self.spec.code_version, self.inputs])
        return f"{measured}{_ANNOTATED}{self.annotation}" if self.annotation else measured


def measured_part(fingerprint: str) -> str:
    """What a fingerprint says of the rows without their annotation."""
    return fingerprint.partition(_ANNOTATED)[0]


@dataclass(frozen=True)
class NotApplicable:
    """A table that this plate has no rows for, by its configuration.

    Attributes
    ----------
    reason
        One sentence for the user: why, and how to ask for it.
    """

    spec: TableSpec
    plate: PlateKey
    reason: str


@dataclass(frozen=True)
class PlateBuild:
    """What building a plate's table did.

    Attributes
    ----------
    state
        ``written``, ``unchanged`` (the inputs are those of the rows that are there), ``skipped``
        (does not apply) or ``removed`` (no longer applies: the rows of before were taken out).
    rejected
        Reason -> how many rows, objects or crops were rejected or are incomplete; empty where
        nothing was written.
    seconds
        Wall time, in seconds.
    stages
        Stage -> seconds and bytes, of what was written: ``reading``, ``joining``, ``decoding``,
        ``cutting`` (work, on all threads together); ``waiting`` (the writer, for rows),
        ``writing`` and ``committing`` (together ``seconds``).
    """

    table: str
    state: str
    rows: int = 0
    bytes: int = 0
    files: int = 0
    snapshot_id: int | None = None
    seconds: float = 0.0
    columns: Mapping[str, str] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    stages: Mapping[str, Stage] = field(default_factory=dict)
    reason: str | None = None


def build_table(
    warehouse: Warehouse, table: PlateTable | NotApplicable, *, force: bool = False
) -> PlateBuild:
    """Write a plate's table, unless its inputs are those of the rows that are there.

    Parameters
    ----------
    force
        Write in any case.

    Raises
    ------
    CpAssetsError
        Whatever the table's rows raise; the table is then as before.
    """
    if isinstance(table, NotApplicable):
        return _not_applicable(warehouse, table)
    scope = table.plate.columns()
    there = find_table(warehouse, table.spec.name)
    state = warehouse.partitions.state(there, scope)
    if not force and _holds(warehouse, table, state):
        return _unchanged(table, state)
    log = RejectionLog()
    with stage_clock() as clock:
        write = write_partition(
            warehouse,
            table.spec,
            scope,
            timed("waiting", table.rows(log)),
            table.fingerprint,
            columns_to_come=table.columns_to_come(),
            table=there,
            rejected=lambda: len(log),
        )
    # After the rows: where another run's rows stand, its books stand too. Rows whose books were
    # lost on the way are seen by `_has_books` and made again.
    _write_rejected(warehouse, table, log)
    return _written(write, log, clock.stages())


def is_current(warehouse: Warehouse, table: PlateTable | NotApplicable) -> bool:
    """Whether `build_table` would find nothing to do."""
    if isinstance(table, NotApplicable):
        return not PartitionRows(warehouse, table.spec.name, table.plate.columns()).exists
    there = find_table(warehouse, table.spec.name)
    return _holds(warehouse, table, warehouse.partitions.state(there, table.plate.columns()))


def _holds(warehouse: Warehouse, table: PlateTable, state: PartitionState) -> bool:
    """Whether the rows that are there are those of these inputs, with their books."""
    return state.fingerprint == table.fingerprint and _has_books(warehouse, table, state)


def _not_applicable(warehouse: Warehouse, table: NotApplicable) -> PlateBuild:
    """Take out rows that an earlier configuration or earlier inputs had: they no longer hold."""
    rows = PartitionRows(warehouse, table.spec.name, table.plate.columns())
    if not rows.exists:
        return PlateBuild(table.spec.name, "skipped", reason=table.reason)
    write = write_partition(warehouse, table.spec, table.plate.columns(), (), fingerprint="")
    return PlateBuild(
        table=table.spec.name,
        state="removed",
        snapshot_id=write.snapshot_id,
        seconds=write.seconds,
        reason=f"{table.reason}; {rows.count()} rows of before were taken out",
    )


def _unchanged(table: PlateTable, state: PartitionState) -> PlateBuild:
    return PlateBuild(
        table=table.spec.name,
        state="unchanged",
        rows=state.rows,
        bytes=state.bytes,
        files=len(state.files),
        snapshot_id=state.snapshot_id,
        reason="inputs and code are those of the rows that are there",
    )


def _has_books(warehouse: Warehouse, table: PlateTable, state: PartitionState) -> bool:
    """Whether the books that are there are those of the rows; rows of others' making have none."""
    if state.rejected is None:
        return True
    books = PartitionRows(warehouse, REJECTED_ROWS.name, _books_scope(table))
    if books.count() != state.rejected:
        return False
    return not books.exists or books.state.fingerprint == state.fingerprint


def _write_rejected(warehouse: Warehouse, table: PlateTable, log: RejectionLog) -> None:
    batches = rejected_batches(log, table.plate, table.spec.name)
    # Made also where there is nothing to write: no table could mean that nobody kept books.
    books = open_table(warehouse, REJECTED_ROWS)
    write_partition(
        warehouse, REJECTED_ROWS, _books_scope(table), batches, table.fingerprint, table=books
    )


def _books_scope(table: PlateTable) -> dict[str, str]:
    return {**table.plate.columns(), "table_name": table.spec.name}


def _written(write: PartitionWrite, log: RejectionLog, stages: Mapping[str, Stage]) -> PlateBuild:
    return PlateBuild(
        table=write.table,
        state="written",
        rows=write.rows,
        bytes=write.bytes,
        files=write.files,
        snapshot_id=write.snapshot_id,
        seconds=write.seconds,
        columns=write.columns,
        rejected=log.by_reason(),
        stages=stages,
    )
