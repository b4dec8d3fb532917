"""Maintaining a warehouse: its tables one after the other, and the manifests of what was moved."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cp_assets.building.tables import TABLES
from cp_assets.datasets.maintenance import MaintenanceOptions
from cp_assets.errors import PartitionChangedError, one_line
from cp_assets.provenance.manifest import MANIFEST
from cp_assets.provenance.refreshing import refresh_manifest
from cp_assets.warehouse.maintenance import Rewriting, TableMaintainer
from cp_assets.warehouse.spec import PLATE_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cp_assets.warehouse.maintenance import TableMaintenance, Write
    from cp_assets.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)


def maintain_warehouse(
    warehouse: Warehouse,
    tables: Sequence[str] = (),
    options: MaintenanceOptions | None = None,
    *,
    dry_run: bool = False,
) -> Iterator[TableMaintenance]:
    """Maintain tables of a warehouse: fewer files, manifests and snapshots, and no orphans.

    Rows are never changed. Runs may write plates meanwhile, also several maintenances.

    Parameters
    ----------
    tables
        Names, ``namespace.table`` or the table alone; none for all. Small files are rewritten only
        in tables of ours: how others are stored is not known.
    options
        What is kept, and for how long.
    dry_run
        Only say what would be done.

    Yields
    ------
    What was done to each table. The manifest comes last, since it is about the others.

    Raises
    ------
    NoSuchTableError
        If the warehouse has no such table.
    MaintenanceError
        If a table's files are not as its metadata says; none of them has been removed.
    WarehouseWriteError
        If the catalog or the store refuses; the tables before are done.
    """
    named = [warehouse.qualify(name) for name in tables] or warehouse.list_tables()
    for name in named:
        # A name that there is none of is told before anything is done.
        warehouse.table(name)
    chosen = sorted(dict.fromkeys(named), key=lambda name: name == MANIFEST.name)
    maintainer = TableMaintainer(warehouse, options or MaintenanceOptions(), dry_run)
    for name in chosen:
        yield maintainer.maintain(name, _rewritten(maintainer, name))


def _rewritten(maintainer: TableMaintainer, name: str) -> Rewriting:
    spec = TABLES.get(name)
    if spec is None:
        return Rewriting()

    def done(write: Write) -> None:
        plate = {column: write.scope[column] for column in PLATE_COLUMNS}
        try:
            refresh_manifest(maintainer.warehouse, name, plate)
        except PartitionChangedError as error:
            # The run that wrote it has looked at the plate's files itself.
            logger.warning("%s: %s", MANIFEST.name, one_line(error))

    return maintainer.rewrite_small_files(name, spec, done)
