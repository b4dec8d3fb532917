"""Plate maps: one number a well, drawn as the plate lies on the bench."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from cp_assets.datasets.identity import row_letters, well_sort_key

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORMATS = ((8, 12), (16, 24), (32, 48))
"""Rows and columns of plates of 96, 384 and 1536 wells."""

_EMPTY = (236, 238, 242)
_LOW, _HIGH = (205, 226, 245), (12, 74, 134)
_INK = (60, 64, 72)
_LABELLED_COLUMNS = 24
_CELL, _LEFT, _TOP, _BOTTOM = 24, 30, 22, 26


def plate_map_png(values: Mapping[str, float], what: str) -> bytes:
    """Draw a heat map of a plate, as PNG.

    Parameters
    ----------
    values
        Well (``A01``) -> number. Wells without one are grey. The plate's format is the smallest of
        96, 384 and 1536 wells that holds all of them.
    what
        What is counted, for the legend.
    """
    places = {well_sort_key(well)[:2]: value for well, value in values.items()}
    rows, columns = _plate_format(places)
    is_dense = columns > _LABELLED_COLUMNS
    cell = _CELL // 2 if is_dense else _CELL
    size = (_LEFT + columns * cell + 8, _TOP + rows * cell + _BOTTOM)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=10)
    low, high = min(values.values()), max(values.values())
    for row in range(rows):
        draw.text((6, _TOP + row * cell + cell // 4), row_letters(row), _INK, font=font)
        for column in range(1, columns + 1):
            left, top = _LEFT + (column - 1) * cell, _TOP + row * cell
            value = places.get((row, column))
            colour = _EMPTY if value is None else _shade(value, low, high)
            draw.rectangle((left + 1, top + 1, left + cell - 2, top + cell - 2), fill=colour)
    for column in range(1, columns + 1):
        if not is_dense or column % 2:
            draw.text((_LEFT + (column - 1) * cell + 4, 6), str(column), _INK, font=font)
    legend = f"{what}: {low:g} to {high:g} a well, {len(values)} wells"
    draw.text((_LEFT, size[1] - _BOTTOM + 6), legend, _INK, font=font)
    data = io.BytesIO()
    picture.save(data, "PNG", optimize=True)
    return data.getvalue()


def _plate_format(places: Mapping[tuple[int, int], float]) -> tuple[int, int]:
    last_row = max((row for row, _ in places), default=0)
    last_column = max((column for _, column in places), default=1)
    fitting = [size for size in _FORMATS if last_row < size[0] and last_column <= size[1]]
    return fitting[0] if fitting else _FORMATS[-1]


def _shade(value: float, low: float, high: float) -> tuple[int, int, int]:
    share = (value - low) / (high - low) if high > low else 1.0
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(_LOW, _HIGH, strict=True))
    return red, green, blue
