"""From objects' boxes to the windows that are cut, and cutting them, also over the image's edge.

Boxes and windows are half-open, in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import EllipsisType

    from cp_assets.datasets.model import Border, ImageOptions
    from cp_assets.images.pixels import PixelSource
    from cp_assets.images.readers import Pixels, Shape5

Fault = tuple[str, str]
"""Why something cannot be cut: a reason to group by, and a sentence."""

Windows = npt.NDArray[np.int64]
"""Shape (windows, 3, 2): in Z, Y and X the first pixel and the one after the last."""

_Range = tuple[int, int]

_PAD_MODES: dict[Border, str] = {"zero": "constant", "edge": "edge", "reflect": "reflect"}


class Window(NamedTuple):
    """A part of an image."""

    z: _Range
    y: _Range
    x: _Range

    @property
    def slices(self) -> tuple[EllipsisType, slice, slice, slice]:
        """The window as numpy takes it: all of T and C, then Z, Y, X."""
        return ..., slice(*self.z), slice(*self.y), slice(*self.x)


@dataclass(frozen=True, eq=False)
class Placements:
    """Where what is cut of an image set lies in its images of one shape.

    Attributes
    ----------
    good
        Which objects can be cut; the windows of the others are empty.
    windows
        What is cut for each object: it may reach over the image's edge.
    parts
        What of the windows lies in the image, and is read.
    border
        What lies over the edge; the part's own pixels are mirrored or repeated.
    """

    good: npt.NDArray[np.bool_]
    windows: Windows
    parts: Windows
    border: Border = "clip"

    @classmethod
    def whole(cls, shape: Shape5) -> Placements:
        """The image of a shape (T, C, Z, Y, X) as its only window."""
        window = np.array([[(0, size) for size in shape[2:]]])
        return cls(np.ones(1, np.bool_), window, window)

    @cached_property
    def areas(self) -> npt.NDArray[np.int64]:
        """Pixels in Z, Y and X of each window; 0 where there is none."""
        areas: npt.NDArray[np.int64] = np.diff(self.windows).prod(axis=(1, 2))
        return areas

    @property
    def area(self) -> int:
        """Pixels of all windows together."""
        return int(self.areas.sum())

    @cached_property
    def inside(self) -> list[Window]:
        """The parts, one by one."""
        edges = self.parts.reshape(-1, 6).tolist()
        return [Window((z0, z1), (y0, y1), (x0, x1)) for z0, z1, y0, y1, x0, x1 in edges]

    def cutter(self, image: PixelSource) -> Callable[[int], Pixels]:
        """What cuts the window of an object, by the object's row, from an image.

        The image may be flat where the windows are in a stack: its plane stands for all of Z.
        """
        inside = self.inside
        if (self.parts[:, 0, 1] > image.shape[2]).any():
            inside = [part._replace(z=(0, 1)) for part in inside]
        read, over = image.read, self._over

        def cut(row: int) -> Pixels:
            pixels = read(inside[row])
            if row in over:
                pixels = np.pad(pixels, over[row], mode=_PAD_MODES[self.border])  # type: ignore[call-overload]
            return pixels

        return cut

    @cached_property
    def _over(self) -> dict[int, list[list[int]]]:
        """Pixels before and after each axis by which a window reaches over the image's edge."""
        over = np.abs(self.windows - self.parts)
        over[:, 0] = 0
        reaching = np.flatnonzero(over.any(axis=(1, 2))).tolist()
        return {row: [[0, 0], [0, 0], *over[row].tolist()] for row in reaching}


def place(
    boxes: Windows, good: npt.NDArray[np.bool_], shape: Shape5, options: ImageOptions
) -> Placements:
    """The windows of boxes in an image of a shape (T, C, Z, Y, X).

    ``padding`` and ``crop_size`` act in Y and X. With the border ``clip`` a window ends at the
    image's edge.

    Parameters
    ----------
    boxes
        As `cp_assets.images.boxes.boxes_in` gives them.
    good
        Which of them can be cut; they lie in the image.
    """
    windows = boxes.copy()
    plane = windows[:, 1:]
    if options.crop_size is None:
        plane += [-options.padding, options.padding]
    else:
        starts = (plane.sum(axis=2) - options.crop_size) // 2
        plane[:] = np.stack([starts, starts + options.crop_size], axis=2)
    windows[~good] = 0
    parts = np.clip(windows, 0, np.array(shape[2:])[:, None])
    return Placements(good, parts if options.border == "clip" else windows, parts, options.border)
