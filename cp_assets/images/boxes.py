"""Bounding boxes as measured: which of them can be cut.

A box is half-open in pixels: ``image[z_min:z_max, y_min:y_max, x_min:x_max]``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cp_assets.images.readers import Shape5
    from cp_assets.images.windows import Windows

_PLANE_EDGES = 4


def good_boxes(edges: npt.NDArray[np.float64], shape: Shape5) -> npt.NDArray[np.bool_]:
    """Which boxes have no `box_fault` and lie inside an image of shape (T, C, Z, Y, X).

    Parameters
    ----------
    edges
        Shape (boxes, 6), as `box_fault` takes them.
    """
    _, _, depth, height, width = shape
    known = _with_depth(edges, depth)
    low, high = known[:, [0, 1, 4]], known[:, [2, 3, 5]]
    with np.errstate(invalid="ignore"):
        whole = (np.floor(known) == known).all(axis=1)
        inside = ((low >= 0) & (high <= [width, height, depth]) & (low < high)).all(axis=1)
    good: npt.NDArray[np.bool_] = whole & inside
    return good


def boxes_in(edges: npt.NDArray[np.float64], good: npt.NDArray[np.bool_], depth: int) -> Windows:
    """Boxes as whole numbers; without a range in Z the whole depth, empty where a box is not good.

    Parameters
    ----------
    edges, good
        As `good_boxes` takes and gives them.
    depth
        Planes of the image.
    """
    known = np.where(good[:, None], _with_depth(edges, depth), 0).astype(np.int64)
    return known[:, [[4, 5], [1, 3], [0, 2]]]


def flat_boxes(edges: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which boxes were measured in a plane: they have no range in Z."""
    return np.asarray(np.isnan(edges[:, _PLANE_EDGES:]).all(axis=1))


def _with_depth(edges: npt.NDArray[np.float64], depth: int) -> npt.NDArray[np.float64]:
    missing = flat_boxes(edges)[:, None] & (np.arange(6) >= _PLANE_EDGES)
    return np.where(missing, [0, 0, 0, 0, 0, depth], edges)


def box_fault(edges: Sequence[float]) -> tuple[str, str] | None:
    """Why a box cannot be cut from any image, as (reason, detail), or None if it can.

    Parameters
    ----------
    edges
        x_min, y_min, x_max, y_max in pixels as measured, then z_min and z_max, both NaN for a box
        of a plane; NaN where there is no value.
    """
    known = _known(edges)
    if not all(map(math.isfinite, known)):
        detail = f"box {box_text(edges)} is not complete; finite numbers are expected"
        return "no_box", detail
    if any(high <= low for low, high in _ranges(known)):
        detail = f"box {box_text(edges)} is empty or inverted; minimum < maximum is expected"
        return "inverted_box", detail
    if not all(map(float.is_integer, map(float, known))):
        return "fractional_box", f"box {box_text(edges)} is not in whole pixels"
    return None


def box_outside(edges: Sequence[float], shape: Shape5) -> str | None:
    """Say why a box reaches out of an image of shape (T, C, Z, Y, X); None if it does not."""
    _, _, depth, height, width = shape
    ranges = zip(_ranges(_known(edges)), (width, height, depth), strict=False)
    if all(low >= 0 and high <= size for (low, high), size in ranges):
        return None
    return (
        f"box {box_text(edges)} reaches out of the image of {width} x {height} x {depth} pixels "
        "(x by y by z); were image and measurements made at the same size?"
    )


def box_text(edges: Sequence[float]) -> str:
    """Write the box for a message, for example ``x 10..60, y 5..40``."""
    ranges = zip("xyz", _ranges(_known(edges)), strict=False)
    return ", ".join(f"{axis} {low:g}..{high:g}" for axis, (low, high) in ranges)


def _known(edges: Sequence[float]) -> Sequence[float]:
    """Leave out the edges in Z of a box that has none."""
    flat = all(map(math.isnan, edges[_PLANE_EDGES:]))
    return edges[:_PLANE_EDGES] if flat else edges


def _ranges(edges: Sequence[float]) -> list[tuple[float, float]]:
    """Pairs of minimum and maximum in x, y and, where there is one, z."""
    x_min, y_min, x_max, y_max, *z = edges
    return [(x_min, x_max), (y_min, y_max), *([(z[0], z[1])] if z else [])]
