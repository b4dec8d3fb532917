"""Maintaining one table: fewer files, fewer manifests, fewer snapshots, no orphans."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyiceberg.exceptions import NoSuchTableError as IcebergNoSuchTableError
from pyiceberg.exceptions import RESTError
from sqlalchemy.exc import SQLAlchemyError

from cp_assets.errors import PartitionChangedError, WarehouseWriteError, one_line
from cp_assets.warehouse.foreign_errors import first_line
from cp_assets.warehouse.maintenance.health import TableHealth, table_health
from cp_assets.warehouse.maintenance.manifests import merge_manifests, surplus_manifests
from cp_assets.warehouse.maintenance.orphans import take_inventory
from cp_assets.warehouse.maintenance.references import ReferenceReader
from cp_assets.warehouse.maintenance.small_files import Write, rewritable, rewrite
from cp_assets.warehouse.maintenance.snapshots import expirable, expire_snapshots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyiceberg.table import Table

    from cp_assets.datasets.maintenance import MaintenanceOptions
    from cp_assets.warehouse.spec import TableSpec
    from cp_assets.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rewriting:
    """What the rewriting of small files did, or would do.

    Attributes
    ----------
    partitions
        Whose files were rewritten, as ``dataset/batch/plate``.
    files_before, files_after
        Data files of these partitions; after is None where nothing was done.
    changed_meanwhile
        Partitions that a run wrote in the meantime: they are left as that run wrote them.
    """

    partitions: tuple[str, ...] = ()
    files_before: int = 0
    files_after: int | None = None
    changed_meanwhile: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableMaintenance:
    """What the maintenance of a table did, or would do.

    Attributes
    ----------
    manifests_fewer
        By how many manifests merging left fewer.
    snapshots_expired
        How many.
    files_removed, bytes_removed
        Orphans older than the grace period.
    health
        Of the table as it is left.
    """

    table: str
    dry_run: bool
    rewriting: Rewriting
    manifests_fewer: int
    snapshots_expired: int
    files_removed: int
    bytes_removed: int
    health: TableHealth

    def figures(self) -> dict[str, int]:
        """What was done and how the table stands, by the name that people see."""
        return {
            "partitions rewritten": len(self.rewriting.partitions),
            "partitions changed meanwhile": len(self.rewriting.changed_meanwhile),
            "files rewritten": self.rewriting.files_before,
            "manifests fewer": self.manifests_fewer,
            "snapshots expired": self.snapshots_expired,
            "files removed": self.files_removed,
            "bytes removed": self.bytes_removed,
            **self.health.figures(),
        }


@dataclass
class TableMaintainer:
    """Maintains the tables of a warehouse, one after the other.

    Attributes
    ----------
    dry_run
        Only say what would be done. Files that rewriting would make superfluous are not counted.
    """

    warehouse: Warehouse
    options: MaintenanceOptions
    dry_run: bool = False
    _references: ReferenceReader = field(default_factory=ReferenceReader)

    def rewrite_small_files(
        self, name: str, spec: TableSpec, done: Callable[[Write], None]
    ) -> Rewriting:
        """Rewrite the small files of a table, partition by partition.

        Parameters
        ----------
        spec
            How the table's files are written.
        done
            Told of each write of which the files are others now.

        Raises
        ------
        WarehouseWriteError
            If files or commit cannot be written; the partitions before are done.
        """
        table = self.warehouse.table(name)
        writes = rewritable(self.warehouse.partitions, table)
        told = {write.name: "/".join(write.scope.values()) for write in writes}
        before = sum(len(write.files) for write in writes)
        if self.dry_run:
            return Rewriting(tuple(told.values()), before)
        after = 0
        changed = []
        for write in writes:
            try:
                files = rewrite(self.warehouse, table, spec, write)
            except PartitionChangedError as error:
                logger.warning("%s", one_line(error))
                changed.append(told.pop(write.name))
                before -= len(write.files)
                continue
            after += files
            done(write)
            table.refresh()
        return Rewriting(tuple(told.values()), before, after, tuple(changed))

    def maintain(self, name: str, rewriting: Rewriting | None = None) -> TableMaintenance:
        """Merge manifests, expire snapshots, remove orphans, and say how the table stands.

        Parameters
        ----------
        rewriting
            What `rewrite_small_files` did to the table, for the report.

        Raises
        ------
        MaintenanceError
            If a file of the current snapshot is not there: nothing has been removed.
        WarehouseWriteError
            If the catalog or the store refuses; what was done before holds.
        """
        with _maintenance_errors(name):
            table = self.warehouse.table(name)
            fewer = self._merge(table)
            expired = self._expire(table)
            # What was expired is named no more; in a dry run it still is.
            left_out = expired if self.dry_run else frozenset()
            inventory = take_inventory(table, self._others(name), self._references, left_out)
            removed = inventory.removable(self.options.grace)
            if not self.dry_run:
                inventory.remove(removed)
                inventory = inventory.without(removed)
            return TableMaintenance(
                table=name,
                dry_run=self.dry_run,
                rewriting=rewriting or Rewriting(),
                manifests_fewer=fewer,
                snapshots_expired=len(expired),
                files_removed=len(removed),
                bytes_removed=sum(one.size for one in removed),
                health=table_health(
                    self.warehouse.partitions, table, inventory, self.options.grace
                ),
            )

    def _merge(self, table: Table) -> int:
        fewer = surplus_manifests(self.warehouse.partitions, table)
        if not self.dry_run and merge_manifests(self.warehouse.partitions, table) is not None:
            table.refresh()
        return fewer

    def _expire(self, table: Table) -> frozenset[int]:
        if self.dry_run:
            return expirable(table, self.options)
        before = {one.snapshot_id for one in table.snapshots()}
        expire_snapshots(table, self.options)
        return frozenset(before - {one.snapshot_id for one in table.snapshots()})

    def _others(self, name: str) -> list[Table]:
        """All other tables: one that is dropped meanwhile has no say any more."""
        found = []
        for other in self.warehouse.list_tables():
            try:
                if other != name:
                    found.append(self.warehouse.catalog.load_table(other))
            except IcebergNoSuchTableError:
                continue
        return found


@contextmanager
def _maintenance_errors(name: str) -> Iterator[None]:
    """Name the table in what storage and catalog raise."""
    try:
        yield
    except WarehouseWriteError:
        raise
    except (OSError, RESTError, SQLAlchemyError) as error:
        msg = (
            f"{name}: maintenance stopped ({first_line(error)}); the table's rows are as before. "
            "Mend that, then run it again"
        )
        raise WarehouseWriteError(msg) from error
