"""Small pictures and tables of a plate, as Markdown that Dagster's UI shows."""

import base64
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from cp_assets.building.links import PROFILE_WITH_IMAGES
from cp_assets.datasets import PlateKey
from cp_assets.images import IMAGE_CROPS, SOURCE_IMAGES
from cp_assets.images.plate_map import plate_map_png
from cp_assets.measurements.joined_columns import JOINED_PROFILES
from cp_assets.measurements.raw import RAW_MEASUREMENTS
from cp_assets.provenance.manifest import MANIFEST
from cp_assets.scanning.tables import IMAGE_ASSETS
from cp_assets.showing import SHEET_CELLS, crops_of_some_cells, sheet_png
from cp_assets.warehouse.rows import PartitionRows
from cp_assets.warehouse.warehouse import Warehouse

_COLOURS = 64
_SHOWN = 20


@dataclass(frozen=True)
class Preview:
    """What a data steward sees of a plate's rows: a title, and Markdown."""

    title: str
    markdown: str


def preview(warehouse: Warehouse, table: str, plate: PlateKey) -> Preview | None:
    """The preview of a plate's rows of a table, or None if there is nothing to show."""
    if table not in _PREVIEWS or not warehouse.has_table(table):
        return None
    title, make = _PREVIEWS[table]
    markdown = make(warehouse, plate)
    return Preview(title, markdown) if markdown else None


def _plate(plate: PlateKey) -> dict[str, str]:
    return {"dataset": plate.dataset_id, "batch": plate.batch_id, "plate": plate.plate_id}


def _picture(png: bytes, title: str) -> str:
    """A picture in Markdown, in few colours: the event log keeps it for each materialization."""
    reduced = io.BytesIO()
    Image.open(io.BytesIO(png)).quantize(_COLOURS).save(reduced, "PNG", optimize=True)
    return f"![{title}](data:image/png;base64,{base64.b64encode(reduced.getvalue()).decode()})"


def _markdown_table(header: list[str], rows: list[list[object]]) -> str:
    lines: list[list[object]] = [[*header], ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _rows_by_compartment(warehouse: Warehouse, plate: PlateKey) -> str | None:
    found = warehouse.read_table(RAW_MEASUREMENTS.name, **_plate(plate), columns=["compartment"])
    counts = found["compartment"].value_counts().to_pylist()
    rows = sorted([item["values"], item["counts"]] for item in counts)
    return _markdown_table(["compartment", "rows"], rows) if rows else None


def _cells_per_well(warehouse: Warehouse, plate: PlateKey) -> str | None:
    found = warehouse.read_table(JOINED_PROFILES.name, **_plate(plate), columns=["well_id"])
    counts = found["well_id"].value_counts().to_pylist()
    wells = {item["values"]: item["counts"] for item in counts if item["values"]}
    if not wells:
        return None
    return _picture(plate_map_png(wells, "cells"), "cells per well")


def _contact_sheet(warehouse: Warehouse, plate: PlateKey) -> str | None:
    crops = crops_of_some_cells(warehouse, plate, cells=SHEET_CELLS // 2)
    return _picture(sheet_png(crops, columns=6), "cells with outlines") if crops.num_rows else None


def _images_by_channel(warehouse: Warehouse, plate: PlateKey) -> str | None:
    found = warehouse.read_table(SOURCE_IMAGES.name, **_plate(plate), columns=["Metadata_Channel"])
    counts = found["Metadata_Channel"].value_counts().to_pylist()
    rows = sorted([item["values"], item["counts"]] for item in counts)
    return _markdown_table(["channel", "images"], rows) if rows else None


def _arrays_by_kind(warehouse: Warehouse, plate: PlateKey) -> str | None:
    columns = ["kind", "format_family", "dtype", "shape_json"]
    found = warehouse.read_table(IMAGE_ASSETS.name, **_plate(plate), columns=columns)
    counts = Counter(tuple(row.values()) for row in found.to_pylist())
    rows = [[*values, count] for values, count in counts.most_common(_SHOWN)]
    return _markdown_table(["what", "format", "type", "shape", "arrays"], rows) if rows else None


def _links_by_channel(warehouse: Warehouse, plate: PlateKey) -> str | None:
    scope = plate.columns()
    rows = PartitionRows(warehouse, PROFILE_WITH_IMAGES.name, scope)
    counts = Counter(
        name
        for batch in rows.batches(["Metadata_Channel"])
        for name in batch["Metadata_Channel"].to_pylist()
    )
    linked = [[name, count] for name, count in sorted(counts.items())]
    return _markdown_table(["channel", "linked crops"], linked) if linked else None


def _manifest_rows(warehouse: Warehouse, plate: PlateKey) -> str | None:
    columns = ["table_name", "rows", "bytes", "etag", "recipe_permalink"]
    found = warehouse.read_table(MANIFEST.name, **_plate(plate), columns=columns).to_pylist()
    return _markdown_table(columns, [list(row.values()) for row in found]) if found else None


_PREVIEWS: dict[str, tuple[str, Callable[[Warehouse, PlateKey], str | None]]] = {
    RAW_MEASUREMENTS.name: ("rows by compartment", _rows_by_compartment),
    JOINED_PROFILES.name: ("cells per well (picture)", _cells_per_well),
    IMAGE_ASSETS.name: ("image arrays", _arrays_by_kind),
    IMAGE_CROPS.name: ("cells with outlines (picture)", _contact_sheet),
    SOURCE_IMAGES.name: ("images by channel", _images_by_channel),
    PROFILE_WITH_IMAGES.name: ("linked crops by channel", _links_by_channel),
    MANIFEST.name: ("what was committed", _manifest_rows),
}
