"""Bounding boxes: which of them can be cut.

A box is half-open in pixels: ``image[y_min:y_max, x_min:x_max]``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def box_fault(box: Sequence[float]) -> tuple[str, str] | None:
    """Why a box cannot be cut from any image, as (reason, detail), or None if it can.

    Parameters
    ----------
    box
        x_min, y_min, x_max, y_max in pixels as measured; NaN where there is no value.
    """
    x_min, y_min, x_max, y_max = box
    if not all(map(math.isfinite, box)):
        return "no_box", f"box {box_text(box)} is not complete; four finite numbers are expected"
    if x_max <= x_min or y_max <= y_min:
        detail = f"box {box_text(box)} is empty or inverted; minimum < maximum is expected"
        return "inverted_box", detail
    if not all(map(float.is_integer, map(float, box))):
        return "fractional_box", f"box {box_text(box)} is not in whole pixels"
    return None


def box_outside(box: Sequence[float], shape: tuple[int, ...]) -> str | None:
    """Say why a box reaches out of an image of shape (Y, X); None if it does not."""
    height, width = shape
    x_min, y_min, x_max, y_max = box
    if x_min >= 0 and y_min >= 0 and x_max <= width and y_max <= height:
        return None
    return (
        f"box {box_text(box)} reaches out of the image of {width} x {height} pixels (x by y); were "
        "image and measurements made at the same size?"
    )


def box_text(box: Sequence[float]) -> str:
    """Write the box for a message, for example ``x 10..60, y 5..40``."""
    x_min, y_min, x_max, y_max = (f"{edge:g}" for edge in box)
    return f"x {x_min}..{x_max}, y {y_min}..{y_max}"
