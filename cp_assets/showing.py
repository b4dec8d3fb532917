"""Looking at cells: the crops of some cells of a warehouse, as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.images import IMAGE_CROPS, SheetOptions, contact_sheet_png
from cp_assets.warehouse.rows import PartitionRows

if TYPE_CHECKING:
    from cp_assets.datasets import PlateKey
    from cp_assets.warehouse.warehouse import Warehouse

SHEET_CELLS = 48
"""Cells on a contact sheet where the user names no number."""

_COLUMNS = (
    "Metadata_Well",
    "Metadata_Site",
    "Metadata_ObjectID",
    "Metadata_ObjectNumber",
    "Metadata_Channel",
    "ome_arrow_image",
    "ome_arrow_label",
    "label_source_kind",
)


def crops_of_some_cells(
    warehouse: Warehouse,
    plate: PlateKey,
    *,
    cells: int = SHEET_CELLS,
    well: str | None = None,
    site: str | None = None,
) -> pa.Table:
    """All channels of the first cells of a plate, or of a well or site of it.

    Empty if there is none. Reads from the plate's files only as far as it must.
    """
    rows = PartitionRows(warehouse, IMAGE_CROPS.name, plate.columns())
    found: list[pa.RecordBatch] = []
    seen: set[str] = set()
    for batch in rows.batches(_COLUMNS, batch_rows=256):
        keep = [
            (well is None or batch_well == well) and (site is None or batch_site == site)
            for batch_well, batch_site in zip(
                batch["Metadata_Well"].to_pylist(), batch["Metadata_Site"].to_pylist(), strict=True
            )
        ]
        mine = batch.filter(pa.array(keep, pa.bool_()))
        found.append(mine)
        seen.update(mine["Metadata_ObjectID"].to_pylist())
        if len(seen) > cells:
            break
    return pa.Table.from_batches(found) if found else pa.table({name: [] for name in _COLUMNS})


def sheet_png(crops: pa.Table, *, cells: int = SHEET_CELLS, columns: int = 8) -> bytes:
    """A contact sheet of crops with their outlines, as PNG."""
    return contact_sheet_png(crops, SheetOptions(cells=cells, columns=columns))
