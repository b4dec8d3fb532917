"""How much of its history a table keeps while plates are added.

Every commit writes all of a table's snapshots anew, and every process reads them: with a thousand
of them a commit takes two and a half times as long as with ten.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table.snapshots import DELETED_DATA_FILES
from pyiceberg.table.update import AssertTableUUID

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata

KEPT_SNAPSHOTS = 100
"""Newest snapshots of a table that every commit keeps."""


def superseded_snapshots(metadata: TableMetadata) -> list[int]:
    """Snapshots that a commit may drop: those whose files the snapshot after them has too.

    All but the newest `KEPT_SNAPSHOTS`, where the next one has only added files, so that a reader
    of the dropped one loses no data file whatever is cleaned up. The state before a plate was
    replaced, and what a branch or tag names, stay until maintenance expires them.
    """
    ordered = sorted(metadata.snapshots, key=lambda one: one.sequence_number or 0)
    named = named_snapshots(metadata)
    return [
        one.snapshot_id
        for one, after in pairwise(ordered[: 1 - KEPT_SNAPSHOTS])
        if one.snapshot_id not in named
        and after.parent_snapshot_id == one.snapshot_id
        and after.summary is not None
        and not int(after.summary[DELETED_DATA_FILES] or 0)
    ]


def named_snapshots(metadata: TableMetadata) -> set[int]:
    """Snapshots that a branch or a tag names, a release being one, and the current one."""
    return {one.snapshot_id for one in metadata.refs.values()} | {metadata.current_snapshot_id or 0}


class NothingNames(AssertTableUUID):
    """The table is the one it was, and no branch or tag names the snapshots.

    PyIceberg removes a tag together with its snapshot: one that was set since the table was loaded
    would be lost. A REST catalog gets the requirement that it knows, and holds its own.
    """

    _snapshot_ids: frozenset[int] = PrivateAttr()

    def __init__(self, *, snapshot_ids: frozenset[int], **fields: Any) -> None:
        super().__init__(**fields)
        self._snapshot_ids = snapshot_ids

    def validate(self, base_metadata: TableMetadata | None) -> None:  # type: ignore[override]
        """Refuse the commit where it does not hold."""
        super().validate(base_metadata)
        if base_metadata is not None and self._gone(base_metadata):
            msg = "a snapshot has been named, or expired, since the table was loaded"
            raise CommitFailedException(msg)

    def _gone(self, metadata: TableMetadata) -> bool:
        there = {one.snapshot_id for one in metadata.snapshots}
        return (
            bool(self._snapshot_ids & named_snapshots(metadata)) or not self._snapshot_ids <= there
        )
