"""Orphans: files in a table's folders that nothing names, of crashes or expired snapshots."""

from __future__ import annotations

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING

from cp_assets.errors import MaintenanceError
from cp_assets.warehouse.maintenance.listing import table_folders

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    import pyarrow.fs as pafs
    from pyiceberg.table import Table

    from cp_assets.warehouse.maintenance.listing import StoredFile
    from cp_assets.warehouse.maintenance.references import ReferenceReader, References

_ICEBERG_FILE = re.compile(r"\.(parquet|orc|avro|puffin|stats|metadata\.json)(\.gz)?$")
"""What Iceberg's writers make; of anything else it is not known who needs it."""

_PART = re.compile(r"-\d{5}\.parquet$")
"""End of a data file's name; what stands before it is the same for all files of one write."""

_REMOVERS = 8


@dataclass(frozen=True)
class Inventory:
    """What lies in a table's folders.

    Attributes
    ----------
    orphans
        Files that nothing names, of any age.
    """

    files: tuple[StoredFile, ...]
    orphans: tuple[StoredFile, ...]
    filesystem: pafs.FileSystem | None

    @property
    def orphan_bytes(self) -> int:
        """Bytes of all orphans."""
        return sum(one.size for one in self.orphans)

    def removable(self, grace: timedelta) -> list[StoredFile]:
        """Orphans that no running write can have made.

        The files of one write count as one, as young as its youngest: the first file of a long
        write may be old.
        """
        limit = datetime.now(UTC) - grace
        newest: dict[str, datetime] = defaultdict(lambda: datetime.min.replace(tzinfo=UTC))
        for one in self.orphans:
            changed = one.changed or datetime.max.replace(tzinfo=UTC)
            newest[_write_of(one)] = max(newest[_write_of(one)], changed)
        return [one for one in self.orphans if newest[_write_of(one)] <= limit]

    def without(self, removed: Iterable[StoredFile]) -> Inventory:
        """What is left."""
        gone = {one.path for one in removed}
        files, orphans = (
            tuple(one for one in some if one.path not in gone)
            for some in (self.files, self.orphans)
        )
        return Inventory(files, orphans, self.filesystem)

    def remove(self, files: Iterable[StoredFile]) -> None:
        """Remove files of this inventory; one that is gone already is as good as removed.

        Raises
        ------
        OSError
            If the store refuses to.
        """

        def delete(one: StoredFile) -> None:
            try:
                if self.filesystem is not None:
                    self.filesystem.delete_file(one.path)
            except FileNotFoundError:
                return

        with ThreadPoolExecutor(_REMOVERS) as pool:
            list(pool.map(delete, files))


def take_inventory(
    table: Table,
    neighbours: Iterable[Table],
    reader: ReferenceReader,
    expired: frozenset[int] = frozenset(),
) -> Inventory:
    """List a table's folders and tell what nothing names.

    The table is refreshed after the listing: what is committed meanwhile is named then.

    Parameters
    ----------
    neighbours
        Other tables of the catalog; those whose folders overlap have a say too.
    expired
        Snapshots to leave out, as if they had been expired.

    Raises
    ------
    MaintenanceError
        If a file of the current snapshot is not in the listing: then the listing, or what the
        metadata calls its files, is not what it seems, and nothing can be called an orphan.
    """
    before = reader.read(table)
    folders = table_folders(table)
    files = tuple(chain.from_iterable(one.files() for one in folders))
    near = [one for one in neighbours if _overlap(table, one)]
    for one in (table, *near):
        one.refresh()
    after = reader.read(table, expired)
    _check_all_there(table, before, after, {one.name for one in files})
    named = after.names.union(*(reader.read(one).names for one in near))
    orphans = (f for f in files if _ICEBERG_FILE.search(f.name) and f.name not in named)
    return Inventory(files, tuple(orphans), folders[0].filesystem if folders else None)


def _overlap(table: Table, other: Table) -> bool:
    if table.name() == other.name():
        return False
    return any(a.overlaps(b) for a in table_folders(table) for b in table_folders(other))


def _check_all_there(table: Table, before: References, after: References, listed: set[str]) -> None:
    missing = sorted(before.current[one] for one in (before.current.keys() & after.names) - listed)
    if missing:
        msg = (
            f"{'.'.join(table.name())}: {len(missing)} files of the current snapshot are not in "
            f"its folders at {table.location()}, the first: {missing[0]}; no file was removed. If "
            "the table's data lie elsewhere, remove its orphans with the tool that wrote it; else "
            "restore the files, or write their plates again"
        )
        raise MaintenanceError(msg)


def _write_of(file: StoredFile) -> str:
    return _PART.sub("", file.name)
