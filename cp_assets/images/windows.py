"""From an object's box to the window that is cut, and cutting it, also over the image's edge.

Boxes and windows are half-open, in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cp_assets.datasets.model import Border, ImageOptions
    from cp_assets.images.readers import Pixels, Shape5

Fault = tuple[str, str]
"""Why something cannot be cut: a reason to group by, and a sentence."""

_Range = tuple[int, int]

_PAD_MODES: dict[Border, str] = {"zero": "constant", "edge": "edge", "reflect": "reflect"}


@dataclass(frozen=True, slots=True)
class Box:
    """An object's box; ``z`` is None where it was measured in a plane."""

    y: _Range
    x: _Range
    z: _Range | None = None


@dataclass(frozen=True)
class Window:
    """What is cut for an object: it may reach over the image's edge."""

    z: _Range
    y: _Range
    x: _Range

    def inside(self, shape: Shape5) -> Window:
        """The part that lies in an image of a shape (T, C, Z, Y, X).

        A single plane stands for all of Z: the mask of a stack may be flat.
        """
        _, _, depth, height, width = shape
        z = (0, 1) if depth == 1 else _clipped(self.z, depth)
        return Window(z, _clipped(self.y, height), _clipped(self.x, width))

    @property
    def area(self) -> int:
        """Pixels in Z, Y and X."""
        (z0, z1), (y0, y1), (x0, x1) = self.z, self.y, self.x
        return (z1 - z0) * (y1 - y0) * (x1 - x0)

    @cached_property
    def slices(self) -> tuple[slice, slice, slice, slice, slice]:
        """The window as numpy takes it: all of T and C, then Z, Y, X."""
        return slice(None), slice(None), slice(*self.z), slice(*self.y), slice(*self.x)


def _clipped(edges: _Range, size: int) -> _Range:
    return max(0, edges[0]), min(size, edges[1])


def window_of(box: Box, shape: Shape5, options: ImageOptions) -> Window:
    """The window of a box in an image of a shape (T, C, Z, Y, X).

    ``padding`` and ``crop_size`` act in Y and X. Without a range in Z the whole stack is cut. With
    the border ``clip`` the window ends at the image's edge.
    """
    y, x = (_widened(edges, options) for edges in (box.y, box.x))
    window = Window(box.z or (0, shape[2]), y, x)
    return window.inside(shape) if options.border == "clip" else window


def _widened(edges: _Range, options: ImageOptions) -> _Range:
    low, high = edges
    if options.crop_size is not None:
        start = (low + high - options.crop_size) // 2
        return start, start + options.crop_size
    return low - options.padding, high + options.padding


@dataclass(frozen=True, slots=True)
class Placement:
    """A window in images of one shape; ``inside`` is the part of it that lies in the image."""

    window: Window
    inside: Window

    @classmethod
    def of(cls, window: Window, shape: Shape5) -> Placement:
        """Place a window in images of a shape (T, C, Z, Y, X)."""
        return cls(window, window.inside(shape))


class Placements:
    """Where what is cut of an image set lies in its images of one shape.

    Parameters
    ----------
    found
        In the order of the objects: a placement, or reason and detail of why there is none.

    Attributes
    ----------
    inside
        The parts of the image that are read.
    area, largest
        Pixels of all windows together, and of the largest.
    """

    def __init__(self, found: Sequence[Placement | Fault]) -> None:
        self.found = found
        placed = [one for one in found if isinstance(one, Placement)]
        self.inside = [one.inside for one in placed]
        areas = [one.window.area for one in placed]
        self.area = sum(areas)
        self.largest = max(areas, default=0)


def cut(
    read: Callable[[Window], Pixels], shape: Shape5, placement: Placement, border: Border
) -> Pixels:
    """Cut a window from an image.

    Parameters
    ----------
    read
        Gives the pixels (T, C, Z, Y, X) of a window that lies inside the image.
    shape
        Of the image; it may be flat where the placement is in a stack.
    border
        What lies over the edge; the crop's own pixels are mirrored or repeated.
    """
    window, inside = placement.window, placement.inside
    if inside.z[1] > shape[2]:
        inside = window.inside(shape)
    pixels = read(inside)
    if border == "clip" or (inside.y, inside.x) == (window.y, window.x):
        return pixels
    pairs = ((window.y, inside.y), (window.x, inside.x))
    over = [(there[0] - wanted[0], wanted[1] - there[1]) for wanted, there in pairs]
    padded: Pixels = np.pad(pixels, [(0, 0)] * 3 + over, mode=_PAD_MODES[border])  # type: ignore[call-overload]
    return padded
