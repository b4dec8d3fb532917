"""The manifest after maintenance: the same rows of a plate lie in other files now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cp_assets.provenance.manifest import MANIFEST, as_committed
from cp_assets.warehouse.maintenance import swap_rows, write_of_partition
from cp_assets.warehouse.rows import PartitionRows
from cp_assets.warehouse.tables import find_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cp_assets.warehouse.warehouse import Warehouse


def refresh_manifest(warehouse: Warehouse, name: str, plate: Mapping[str, str]) -> bool:
    """Bring a plate's row about a table up to date with the files that hold its rows now.

    A row about other rows than the table has is left: the plate was built again, and its manifest
    is still to come.

    Parameters
    ----------
    name
        The table that was rewritten.
    plate
        Plate column -> value.

    Returns
    -------
    Whether the manifest had such a row.

    Raises
    ------
    PartitionChangedError
        If a run wrote the plate's manifest meanwhile.
    """
    manifest = find_table(warehouse, MANIFEST.name)
    if manifest is None:
        return False
    write = write_of_partition(warehouse.partitions, manifest, plate)
    rows = [
        row
        for batch in PartitionRows(warehouse, MANIFEST.name, plate).batches()
        for row in batch.to_pylist()
    ]
    fresh = [
        _refreshed(warehouse, row, plate) if row["table_name"] == name else row for row in rows
    ]
    if write is None or fresh == rows:
        return False
    batch = pa.RecordBatch.from_pylist(fresh, schema=MANIFEST.schema)
    swap_rows(warehouse, manifest, MANIFEST, write, [batch])
    return True


def _refreshed(
    warehouse: Warehouse, row: dict[str, Any], plate: Mapping[str, str]
) -> dict[str, Any]:
    table = warehouse.table(row["table_name"])
    state = warehouse.partitions.state(table, plate)
    if state.fingerprint != row["input_fingerprint"]:
        return row
    return {**row, **as_committed(table, state)}
