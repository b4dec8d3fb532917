"""Maintenance of a warehouse's tables: small files, manifests, snapshots, orphans, health."""

from __future__ import annotations

from cp_assets.warehouse.maintenance.health import TableHealth
from cp_assets.warehouse.maintenance.small_files import Write, swap_rows, write_of_partition
from cp_assets.warehouse.maintenance.table import Rewriting, TableMaintainer, TableMaintenance

__all__ = [
    "Rewriting",
    "TableHealth",
    "TableMaintainer",
    "TableMaintenance",
    "Write",
    "swap_rows",
    "write_of_partition",
]
