"""Expiring snapshots: those that were superseded long ago and that nothing names.

A snapshot's age counts from when another took its place, not from when it was made: a plate may
stand for a year, and who reads it the moment before it is replaced must be able to go on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table.update import RemoveSnapshotsUpdate

from cp_assets.warehouse.attempts import patiently
from cp_assets.warehouse.history import NothingNames, named_snapshots

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

    from cp_assets.datasets.maintenance import MaintenanceOptions


def expirable(table: Table, options: MaintenanceOptions) -> frozenset[int]:
    """Snapshots that may be expired: none that a branch or a tag names, a release being one."""
    metadata = table.metadata
    limit = datetime.now(UTC) - options.older_than
    newest = sorted(metadata.snapshots, key=lambda one: (one.timestamp_ms, one.sequence_number))
    kept = {one.snapshot_id for one in newest[-options.keep_snapshots :]} | named_snapshots(
        metadata
    )
    superseded = _superseded(metadata)
    return frozenset(
        one.snapshot_id
        for one in metadata.snapshots
        if one.snapshot_id not in kept
        and _time(superseded.get(one.snapshot_id, one.timestamp_ms)) <= limit
    )


def expire_snapshots(table: Table, options: MaintenanceOptions) -> None:
    """Take expirable snapshots out of a table's metadata; their files become orphans.

    Raises
    ------
    WarehouseWriteError
        If other writers left no gap for minutes.
    """

    def attempt() -> _Expiry | None:
        ids = expirable(table, options)
        return _Expiry(table, ids) if ids else None

    patiently(table, attempt, ".".join(table.name()))
    table.refresh()


def _superseded(metadata: TableMetadata) -> dict[int, int]:
    """Snapshot -> when it was last followed by another, ms since 1970."""
    return {before.snapshot_id: after.timestamp_ms for before, after in pairwise(_log(metadata))}


def _log(metadata: TableMetadata) -> list[Any]:
    return sorted(metadata.snapshot_log, key=lambda one: one.timestamp_ms)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


@dataclass
class _Expiry:
    """One attempt, refused by the catalog where something has come to name a snapshot."""

    table: Table
    ids: frozenset[int]
    may_be_taken: bool = field(default=False, init=False)

    def send(self) -> None:
        self.may_be_taken = True
        try:
            self._ask()
        except CommitFailedException:
            self.may_be_taken = False
            raise
        self.may_be_taken = False

    def _ask(self) -> None:
        uuid = self.table.metadata.table_uuid
        self.table.catalog.commit_table(
            self.table,
            (NothingNames(uuid=uuid, snapshot_ids=self.ids),),
            (RemoveSnapshotsUpdate(snapshot_ids=sorted(self.ids)),),
        )

    def is_in(self, metadata: TableMetadata) -> bool:
        return not self.ids & {one.snapshot_id for one in metadata.snapshots}

    def discard(self) -> None:
        """Nothing was written."""
