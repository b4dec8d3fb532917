"""From the axes of a file to T, C, Z, Y, X."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cp_assets.errors import ImageReadError
from cp_assets.images.readers.model import AXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cp_assets.images.readers.model import Shape5
    from cp_assets.payloads.types import Pixels
    from cp_assets.stores import Place

UNKNOWN = "?"
"""An axis that the file has but does not name: pages of a plain multi-page TIFF, say."""

_SAMPLES = "S"


def name_axes(path: Place, axes: Sequence[str], shape: Sequence[int]) -> str:
    """Name each axis of an array with one of T, C, Z, Y, X.

    Colour samples (S) keep their letter: they become channels once the planes are put together. An
    axis without a name is Z: the pages of a plain TIFF are a stack until something says otherwise.

    Parameters
    ----------
    axes
        The file's axes, slowest first: T, C, Z, Y, X, S, `UNKNOWN`, or what else the file has.
    shape
        Their sizes.

    Returns
    -------
    One letter for each axis. An axis of size 1 that has no place is marked with `UNKNOWN`.

    Raises
    ------
    ImageReadError
        If there is no Y or X, an axis of no pixels, an axis twice, or one that has no place.
    """
    said = f"axes {', '.join(axes)} of sizes {tuple(shape)}"
    if "Y" not in axes or "X" not in axes:
        msg = f"image {path}: has {said}; an image has at least the axes Y and X"
        raise ImageReadError(msg)
    if 0 in shape:
        msg = f"image {path}: holds no pixels ({said})"
        raise ImageReadError(msg)
    long_axes = [axis for axis, size in zip(axes, shape, strict=True) if size > 1]
    names: list[str] = []
    for axis, size in zip(axes, shape, strict=True):
        wanted = "Z" if axis == UNKNOWN and size > 1 else axis
        taken = wanted in names or (axis == UNKNOWN and "Z" in long_axes)
        if (wanted in AXES or wanted == _SAMPLES) and not taken:
            names.append(wanted)
        elif size == 1:
            names.append(UNKNOWN)
        else:
            msg = (
                f"image {path}: has {said}; T, C, Z, Y and X are read, each once, and one axis "
                "without a name, as Z. Save it with named axes, or one file for each plane"
            )
            raise ImageReadError(msg)
    return "".join(names)


def sizes(axes: str, shape: Sequence[int]) -> dict[str, int]:
    """Size of each axis of T, C, Z, Y, X; 1 for those that the file lacks."""
    return dict.fromkeys(AXES, 1) | dict(zip(axes, shape, strict=True))


def shape5(axes: str, shape: Sequence[int]) -> Shape5:
    """Sizes of an array in T, C, Z, Y, X, 1 for the axes that it lacks."""
    of = sizes(axes, shape)
    return of["T"], of["C"], of["Z"], of["Y"], of["X"]


def to_tczyx(pixels: Pixels, axes: str) -> Pixels:
    """Bring an array into the order T, C, Z, Y, X, with length 1 for the axes that it lacks."""
    kept = [number for number, axis in enumerate(axes) if axis in AXES]
    pixels = pixels.reshape([pixels.shape[number] for number in kept])
    letters = "".join(axes[number] for number in kept)
    order = sorted(range(len(letters)), key=lambda number: AXES.index(letters[number]))
    missing = [number for number, axis in enumerate(AXES) if axis not in letters]
    return np.expand_dims(pixels.transpose(order), missing)
