"""One table of a million crops, for the measurements that read crops."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyiceberg.expressions import EqualTo

from benchmarks.context import Context, progress
from benchmarks.data import CHANNELS, PlateShape, write_crops
from cp_assets.datasets import PlateKey
from cp_assets.images import IMAGE_CROPS
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse

PLATES = ("p1", "p2", "p3", "p4")
SHAPE = PlateShape(sites=200, cells=250)
"""Of each plate: 50,000 cells in 5 channels, 250,000 crops."""

CELLS = len(PLATES) * SHAPE.sites * SHAPE.cells
CROPS = CELLS * len(CHANNELS)


@dataclass(frozen=True)
class CropTable:
    """A warehouse with ``images.image_crops`` alone.

    Attributes
    ----------
    cells
        ``Metadata_ObjectID`` of every cell.
    bytes
        Of the table's data files.
    """

    warehouse: Warehouse
    cells: list[str]
    bytes: int

    def uncompressed(self, context: Context) -> Warehouse:
        """The crops of the first plate once more, stored with ``zstd_level: null``."""
        warehouse = open_warehouse(context.folder / "uncompressed", create=True)
        key = PlateKey("bench", "batch", PLATES[0])
        write_crops(warehouse, key, _shape(context), replace(IMAGE_CROPS, codec="none"))
        return warehouse

    def files(self, plate: str | None = None) -> list[str]:
        """Paths of the data files of all plates, or of one, in the order of their rows."""
        scan = self.warehouse.table("image_crops").scan()
        if plate is not None:
            scan = scan.filter(EqualTo(term="plate_id", value=plate))
        return sorted(task.file.file_path.removeprefix("file://") for task in scan.plan_files())


def crop_table(context: Context) -> CropTable:
    """The table, made by the first measurement of a run that asks for it."""
    folder, kept = context.shared / "crops", context.shared / "cells.txt"
    warehouse = open_warehouse(folder, create=True)
    if not kept.exists():
        shape = _shape(context)
        cells: list[str] = []
        for plate in PLATES:
            key = PlateKey("bench", "batch", plate)
            cells += write_crops(warehouse, key, shape)
            progress(f"the table of crops has {len(cells) * len(CHANNELS):,} crops")
        kept.write_text("\n".join(cells))
    (row,) = warehouse.describe().to_pylist()
    return CropTable(warehouse, kept.read_text().split(), row["bytes"])


def _shape(context: Context) -> PlateShape:
    return PlateShape(sites=8, cells=250) if context.quick else SHAPE
