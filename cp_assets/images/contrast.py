"""From intensities to colours: contrast over a whole sheet, Cell Painting's colours, outlines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Colour = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""

_FloatImage = npt.NDArray[np.float32]

CELL_PAINTING_COLOURS: Mapping[str, Colour] = {
    "dna": (64, 110, 255),
    "hoechst": (64, 110, 255),
    "dapi": (64, 110, 255),
    "er": (40, 220, 110),
    "rna": (200, 200, 60),
    "agp": (255, 150, 40),
    "actin": (255, 150, 40),
    "mito": (255, 60, 60),
}
"""A word of a channel's name -> the colour that Cell Painting figures give it."""

FALLBACK_COLOURS: tuple[Colour, ...] = (
    (40, 220, 110),
    (255, 70, 120),
    (255, 190, 60),
    (90, 220, 255),
    (200, 120, 255),
    (160, 160, 160),
)
"""For channels of other names, in their order."""

_TRANSMITTED = ("brightfield", "bf", "phase", "dic")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SAMPLES = 2_000_000
_GAMMA = 0.7
"""Below 1 lifts the dim: one contrast for a sheet serves mitotic cells and their dim neighbours."""


def is_transmitted(channel: str) -> bool:
    """Whether a channel is of transmitted light: bright everywhere, so it would hide the others."""
    return any(word in channel.lower() for word in _TRANSMITTED)


def channel_colours(channels: Sequence[str], given: Mapping[str, Colour]) -> dict[str, Colour]:
    """Give each channel a colour: the user's, Cell Painting's by name, else one by order."""
    colours: dict[str, Colour] = {}
    spare = iter(FALLBACK_COLOURS * (len(channels) // len(FALLBACK_COLOURS) + 1))
    for channel in channels:
        words = [word.lower() for word in _WORD.findall(channel)]
        known = [CELL_PAINTING_COLOURS[word] for word in words if word in CELL_PAINTING_COLOURS]
        colours[channel] = given.get(channel) or (known[0] if known else next(spare))
    return colours


def contrast_range(
    planes: Iterable[npt.NDArray[Any]], percentiles: tuple[float, float]
) -> tuple[float, float]:
    """Find the intensities that become black and full colour, over planes (Y, X) of a channel."""
    flat = [plane.ravel() for plane in planes if plane.size]
    step = max(1, sum(len(values) for values in flat) // _SAMPLES)
    if not flat:
        return 0.0, 1.0
    low, high = np.percentile(np.concatenate([values[::step] for values in flat]), percentiles)
    return float(low), float(high if high > low else low + 1)


def stretch(plane: npt.NDArray[Any], limits: tuple[float, float]) -> _FloatImage:
    """Map intensities (Y, X) between the limits to 0 to 1, the dim ones lifted."""
    low, high = limits
    scaled = np.clip((plane.astype(np.float32) - low) / (high - low), 0, 1)
    return np.asarray(scaled**_GAMMA, np.float32)


def composite(planes: Sequence[tuple[_FloatImage, Colour]]) -> npt.NDArray[np.uint8]:
    """Planes of 0 to 1, one after the other screened in their colours; shape (Y, X, 3).

    Screening keeps the colours where channels overlap; a plain sum would turn white.
    """
    dark = np.ones((*planes[0][0].shape, 3), np.float32)
    for plane, colour in planes:
        dark *= 1 - plane[..., None] * (np.asarray(colour, np.float32) / 255)
    return np.round((1 - dark) * 255).astype(np.uint8)


def own_object(label: npt.NDArray[Any], number: int | None) -> npt.NDArray[np.bool_]:
    """Find one object in a crop of a mask: pixels with its number, else all that are not 0."""
    own = np.asarray(label == number)
    return own if number is not None and own.any() else np.asarray(label != 0)


def border(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Find the outermost pixels of a region (Y, X); a cut at the crop's edge counts as border."""
    padded = np.pad(inside, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(inside & ~core)
