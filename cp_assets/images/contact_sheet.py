"""Contact sheets: a grid of cells in colour, to see at a glance what a table of crops holds."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image, ImageDraw, ImageFont

from cp_assets.errors import QueryError
from cp_assets.images.contrast import (
    Colour,
    border,
    channel_colours,
    composite,
    contrast_range,
    is_transmitted,
    own_object,
    stretch,
)
from cp_assets.payloads.reading import payload_planes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Plane = npt.NDArray[Any]

_BACKGROUND: Colour = (22, 23, 28)
_TEXT: Colour = (196, 200, 210)
_OUTLINE: Colour = (255, 236, 120)
_GAP, _CAPTION, _HEADER = 6, 16, 30
_LARGEST_ZOOM = 4.0
_COLUMNS = ("Metadata_ObjectID", "Metadata_ObjectNumber", "Metadata_Channel", "ome_arrow_image")


@dataclass(frozen=True, kw_only=True)
class SheetOptions:
    """How a contact sheet looks.

    Attributes
    ----------
    cells
        Most cells on the sheet; the first of the table are shown.
    columns
        Cells in a row.
    tile
        Edge of a cell's square in pixels. All cells of a sheet have the same magnification.
    channels
        Channels to show, or None for all; of those, transmitted light is left out of the colours.
    percentiles
        Intensities that become black and full colour, over the whole sheet.
    separate
        Also show every channel of a cell in grey, below its colours.
    outlines
        Draw the outline, or the border of the mask, where there is one.
    colours
        Channel -> colour, for those that should differ from Cell Painting's.
    """

    cells: int = 48
    columns: int = 8
    tile: int = 128
    channels: tuple[str, ...] | None = None
    percentiles: tuple[float, float] = (1.0, 99.5)
    separate: bool = False
    outlines: bool = True
    colours: Mapping[str, Colour] = field(default_factory=dict)


@dataclass(eq=False)
class _Cell:
    caption: str
    number: int | None
    planes: dict[str, Plane] = field(default_factory=dict)
    label: Plane | None = None
    label_kind: str | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return next(iter(self.planes.values())).shape


@dataclass(frozen=True)
class _Look:
    """What all tiles share."""

    options: SheetOptions
    zoom: float
    colours: Mapping[str, Colour]
    shown: tuple[str, ...]
    limits: Mapping[str, tuple[float, float]]


def contact_sheet(crops: pa.Table, options: SheetOptions | None = None) -> npt.NDArray[np.uint8]:
    """Draw the cells of a table of crops.

    Parameters
    ----------
    crops
        Rows of ``images.image_crops``: at least ``Metadata_ObjectID``, ``Metadata_ObjectNumber``,
        ``Metadata_Channel`` and ``ome_arrow_image``; with ``ome_arrow_label`` and
        ``label_source_kind`` outlines are drawn, with ``Metadata_Well`` and ``Metadata_Site``
        captions say where a cell is.

    Returns
    -------
    array of shape (Y, X, 3), red, green, blue

    Raises
    ------
    QueryError
        If a column is missing, or no row has an image of a channel that is wanted.
    """
    options = options or SheetOptions()
    cells = _cells(crops, options)
    look = _look(cells, options)
    rows = 1 + len(look.limits) if options.separate else 1
    step_x = options.tile + _GAP
    step_y = rows * options.tile + _CAPTION + _GAP
    columns = min(options.columns, len(cells))
    height = _HEADER + step_y * -(-len(cells) // columns) + _GAP
    sheet = Image.new("RGB", (columns * step_x + _GAP, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _legend(draw, look)
    for place, cell in enumerate(cells):
        left = _GAP + place % columns * step_x
        top = _HEADER + place // columns * step_y
        for row, tile in enumerate(_tiles(cell, look, rows)):
            sheet.paste(tile, (left, top + row * options.tile))
            if row and place % columns == 0:
                name = list(look.limits)[row - 1]
                draw.text((left + 4, top + row * options.tile + 2), name, _TEXT, _font(11))
        draw.text((left + 2, top + rows * options.tile + 1), cell.caption, _TEXT, _font(11))
    return np.asarray(sheet)


def contact_sheet_png(crops: pa.Table, options: SheetOptions | None = None) -> bytes:
    """`contact_sheet` as the bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(contact_sheet(crops, options)).save(file, "PNG", optimize=True)
    return file.getvalue()


def _cells(crops: pa.Table, options: SheetOptions) -> list[_Cell]:
    missing = [name for name in _COLUMNS if name not in crops.column_names]
    if missing:
        absent = ", ".join(missing)
        msg = f"contact sheet: the table has no column {absent}; read it with these columns"
        raise QueryError(msg)
    cells: dict[str, _Cell] = {}
    keys = crops.drop_columns([n for n in crops.column_names if n.startswith("ome_arrow_")])
    wanted: list[int] = []
    rows = keys.to_pylist()
    for place, row in enumerate(rows):
        object_id = row["Metadata_ObjectID"]
        if object_id not in cells and len(cells) >= options.cells:
            continue
        cells.setdefault(object_id, _Cell(_caption(row), row["Metadata_ObjectNumber"]))
        wanted.append(place)
    _fill(
        cells, [rows[place] for place in wanted], crops.take(pa.array(wanted, pa.int64())), options
    )
    filled = [cell for cell in cells.values() if cell.planes]
    if not filled:
        names = sorted({str(row["Metadata_Channel"]) for row in rows})
        msg = f"contact sheet: no crop to show; channels of the table: {', '.join(names) or 'none'}"
        raise QueryError(msg)
    return filled


def _fill(
    cells: dict[str, _Cell], rows: Sequence[dict[str, Any]], crops: pa.Table, options: SheetOptions
) -> None:
    nothing: list[Plane | None] = [None] * len(rows)
    has_labels = options.outlines and "ome_arrow_label" in crops.column_names
    labels = payload_planes(crops["ome_arrow_label"]) if has_labels else nothing
    images = payload_planes(crops["ome_arrow_image"])
    for row, image, label in zip(rows, images, labels, strict=True):
        cell, channel = cells[row["Metadata_ObjectID"]], row["Metadata_Channel"]
        if image is None or (options.channels is not None and channel not in options.channels):
            continue
        cell.planes[channel] = image
        if label is not None and cell.label is None:
            cell.label, cell.label_kind = label, row.get("label_source_kind")


def _caption(row: Mapping[str, Any]) -> str:
    parts = [row.get("Metadata_Well"), row.get("Metadata_Site"), f"#{row['Metadata_ObjectNumber']}"]
    return "  ".join(str(part) for part in parts if part is not None)


def _look(cells: Sequence[_Cell], options: SheetOptions) -> _Look:
    found = dict.fromkeys(channel for cell in cells for channel in cell.planes)
    channels = tuple(c for c in options.channels or found if c in found)
    stained = tuple(channel for channel in channels if not is_transmitted(channel))
    limits = {
        channel: contrast_range(
            (cell.planes[channel] for cell in cells if channel in cell.planes), options.percentiles
        )
        for channel in channels
    }
    largest = max(max(cell.shape) for cell in cells)
    zoom = min(_LARGEST_ZOOM, options.tile / largest)
    colours = channel_colours(channels, options.colours)
    return _Look(options, zoom, colours, stained or channels[:1], limits)


def _tiles(cell: _Cell, look: _Look, rows: int) -> Iterator[Image.Image]:
    """Draw the cell in colour, and each channel in grey if there are ``rows`` for that."""
    stretched = {
        channel: stretch(plane, look.limits[channel]) for channel, plane in cell.planes.items()
    }
    coloured = [(stretched[c], look.colours[c]) for c in look.shown if c in stretched]
    empty = np.zeros((*cell.shape, 3), np.uint8)
    yield _tile(cell, composite(coloured) if coloured else empty, look)
    if rows > 1:
        for channel in look.limits:
            grey = [(stretched[channel], (255, 255, 255))] if channel in stretched else []
            yield _tile(cell, composite(grey) if grey else empty, look, outline=False)


def _tile(
    cell: _Cell, pixels: npt.NDArray[np.uint8], look: _Look, *, outline: bool = True
) -> Image.Image:
    edge = look.options.tile
    height, width = (max(1, min(edge, round(size * look.zoom))) for size in pixels.shape[:2])
    picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    if outline and cell.label is not None:
        # The line is drawn after zooming, one pixel wide, so that it hides little of the cell.
        line = Image.fromarray(_line(cell, (width, height)).astype(np.uint8) * 215)
        picture.paste(Image.new("RGB", picture.size, _OUTLINE), (0, 0), line)
    tile = Image.new("RGB", (edge, edge), (0, 0, 0))
    tile.paste(picture, ((edge - width) // 2, (edge - height) // 2))
    return tile


def _line(cell: _Cell, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    label = np.asarray(cell.label)
    drawn = cell.label_kind == "outline"
    inside = label != 0 if drawn else own_object(label, cell.number)
    zoomed = np.asarray(
        Image.fromarray(inside.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    ).astype(bool)
    return zoomed if drawn else border(zoomed)


def _legend(draw: ImageDraw.ImageDraw, look: _Look) -> None:
    left = _GAP + 2
    for channel in look.shown:
        draw.rectangle((left, 11, left + 9, 20), fill=look.colours[channel])
        draw.text((left + 14, 8), channel, _TEXT, _font(12))
        left += 14 + round(draw.textlength(channel, _font(12))) + 18


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
