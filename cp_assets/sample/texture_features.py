"""CellProfiler's Texture measurements: Haralick features of pixel pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cp_assets.sample.object_pixels import Columns

SCALE_PX = 3
GREY_LEVELS = 256
_STEPS = {"00": (0, SCALE_PX), "02": (SCALE_PX, 0)}
"""CellProfiler's texture angles as steps (down, right): along rows, and along columns."""


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pixel pairs one step apart within one object: flat indices, object numbers, each (pairs,)."""

    one: NDArray[np.intp]
    other: NDArray[np.intp]
    number: NDArray[np.uint16]
    count: NDArray[np.int64]

    def mean(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mean of one value a pair over each object, float64 (n,); 0 without a pair."""
        total = np.bincount(self.number, weights=values, minlength=len(self.count) + 1)[1:]
        return np.asarray(total / np.maximum(self.count, 1))


def texture_features(
    labels: NDArray[np.uint16], images: Mapping[str, NDArray[np.float64]]
) -> Columns:
    """Measure the texture of the objects 1..n of a label image (y, x) in every channel.

    Both features are means over pixel pairs, so no co-occurrence matrix is needed. Images, float64
    (y, x) from 0 to 1, are first rounded to 256 grey levels.

    Returns
    -------
    Columns by name, each float64 (n,).
    """
    pairs = {angle: _pairs(labels, *step) for angle, step in _STEPS.items()}
    columns: Columns = {}
    for channel, image in images.items():
        grey = np.floor(image.ravel() * (GREY_LEVELS - 1) + 0.5).astype(np.float32)
        for angle, pair in pairs.items():
            squared = (grey[pair.one] - grey[pair.other]) ** 2
            suffix = f"{channel}_{SCALE_PX}_{angle}_{GREY_LEVELS}"
            columns[f"Texture_Contrast_{suffix}"] = pair.mean(squared)
            columns[f"Texture_InverseDifferenceMoment_{suffix}"] = pair.mean(1.0 / (1.0 + squared))
    return columns


def _pairs(labels: NDArray[np.uint16], down: int, right: int) -> _Pairs:
    height, width = labels.shape
    here, there = labels[: height - down, : width - right], labels[down:, right:]
    y, x = np.nonzero((here > 0) & (here == there))
    number = here[y, x]
    count = np.bincount(number, minlength=int(labels.max()) + 1)[1:]
    one = y * width + x
    return _Pairs(one, one + down * width + right, number, count)
