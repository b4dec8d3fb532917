"""How much of its history a table keeps while plates are added.

Every commit writes all of a table's snapshots anew, and every process reads them: with a thousand
of them a commit takes two and a half times as long as with ten.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from pyiceberg.table.snapshots import DELETED_DATA_FILES

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
    named = {ref.snapshot_id for ref in metadata.refs.values()}
    return [
        one.snapshot_id
        for one, after in pairwise(ordered[: 1 - KEPT_SNAPSHOTS])
        if one.snapshot_id not in named
        and after.parent_snapshot_id == one.snapshot_id
        and after.summary is not None
        and not int(after.summary[DELETED_DATA_FILES] or 0)
    ]
