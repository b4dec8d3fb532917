"""A table's health: what grows with every commit and what maintenance takes away again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cp_assets.warehouse.maintenance.small_files import live_files, small_files

if TYPE_CHECKING:
    from datetime import timedelta

    from pyiceberg.table import Table

    from cp_assets.warehouse.maintenance.orphans import Inventory
    from cp_assets.warehouse.partitions import Partitions


@dataclass(frozen=True)
class TableHealth:
    """A table as it stands.

    Attributes
    ----------
    oldest_snapshot
        When it was made; None where there is no snapshot.
    manifests, data_files
        Of the current snapshot.
    small_files
        Data files under half of the writer's bound that share a partition with another such.
    live_bytes
        Of the current snapshot's data files.
    stored_bytes
        Of all files in the table's folders.
    orphans, orphan_bytes
        Files that nothing names, of any age.
    delete_candidates
        Those of them that are older than the grace period.
    metadata_bytes
        Of the current ``metadata.json``, which every commit writes anew.
    """

    snapshots: int
    oldest_snapshot: datetime | None
    manifests: int
    data_files: int
    small_files: int
    live_bytes: int
    stored_bytes: int
    orphans: int
    orphan_bytes: int
    delete_candidates: int
    metadata_bytes: int

    def figures(self) -> dict[str, int]:
        """All that is counted, by the name that people see."""
        return {
            "snapshots": self.snapshots,
            "manifests": self.manifests,
            "data files": self.data_files,
            "small files": self.small_files,
            "live bytes": self.live_bytes,
            "stored bytes": self.stored_bytes,
            "orphans": self.orphans,
            "orphan bytes": self.orphan_bytes,
            "delete candidates": self.delete_candidates,
            "metadata.json bytes": self.metadata_bytes,
        }


def table_health(
    partitions: Partitions, table: Table, inventory: Inventory, grace: timedelta
) -> TableHealth:
    """Look at a table as it was loaded, and at what lies in its folders."""
    files = live_files(partitions, table)
    times = [one.timestamp_ms for one in table.snapshots()]
    return TableHealth(
        snapshots=len(times),
        oldest_snapshot=datetime.fromtimestamp(min(times) / 1000, UTC) if times else None,
        manifests=len(partitions.manifests(table, {})),
        data_files=len(files),
        small_files=len(small_files(files)),
        live_bytes=sum(file.file_size_in_bytes for file in files),
        stored_bytes=sum(file.size for file in inventory.files),
        orphans=len(inventory.orphans),
        orphan_bytes=inventory.orphan_bytes,
        delete_candidates=len(inventory.removable(grace)),
        metadata_bytes=len(table.io.new_input(table.metadata_location)),
    )
