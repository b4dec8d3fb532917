"""The pixels of a label image, sorted by object, so that one pass measures every object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Column = NDArray[np.float64] | NDArray[np.int64]
    Columns = dict[str, Column]


def outermost_pixels(labels: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Pixels of objects that share a side with another object or the background, bool (y, x).

    The image's border is no side: what lies beyond it is unknown.
    """
    edge = np.zeros(labels.shape, dtype=np.bool_)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge & (labels > 0)


@dataclass(frozen=True, eq=False)
class ObjectPixels:
    """Pixels of the objects 1..n of one label image, object after object, each in reading order.

    Attributes
    ----------
    y, x
        Position of each pixel, int64 (pixels,).
    start
        Where each object's pixels begin, int64 (n,).
    area
        Number of pixels of each object, int64 (n,); never 0.
    """

    y: NDArray[np.int64]
    x: NDArray[np.int64]
    start: NDArray[np.int64]
    area: NDArray[np.int64]

    @classmethod
    def of(cls, labels: NDArray[np.uint16], where: NDArray[np.bool_] | None = None) -> ObjectPixels:
        """Collect the objects 1..n of `labels` (y, x), or their part inside `where`."""
        chosen = labels > 0 if where is None else (labels > 0) & where
        y, x = np.nonzero(chosen)
        numbers = labels[chosen].astype(np.int64)
        order = np.argsort(numbers, kind="stable")
        area = np.bincount(numbers, minlength=int(labels.max()) + 1)[1:]
        return cls(y[order], x[order], np.cumsum(area) - area, area)

    @classmethod
    def of_edges(cls, labels: NDArray[np.uint16]) -> ObjectPixels:
        """Collect the pixels of each object that touch another object or the background."""
        edge = outermost_pixels(labels)
        untouched = np.setdiff1d(np.unique(labels), np.unique(labels[edge]))
        return cls.of(labels, edge | np.isin(labels, untouched))

    def values(self, image: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of an image (y, x) at these pixels, float64 (pixels,)."""
        return image[self.y, self.x]

    def total(self, values: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
        """Sum over each object, float64 (n,)."""
        return np.add.reduceat(values, self.start, dtype=np.float64)

    def mean(self, values: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
        """Mean over each object, float64 (n,)."""
        return self.total(values) / self.area

    def spread(self, per_object: NDArray[np.float64]) -> NDArray[np.float64]:
        """Repeat one value an object at each of its pixels, float64 (pixels,)."""
        return np.repeat(per_object, self.area)

    def sort(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sort the values within each object, ascending, float64 (pixels,)."""
        ordered = values.copy()
        for begin, size in zip(self.start, self.area, strict=True):
            ordered[begin : begin + size].sort()
        return ordered

    def quantile(self, ordered: NDArray[np.float64], fraction: float) -> NDArray[np.float64]:
        """Quantile of each object's sorted values, float64 (n,).

        Interpolates from rank ``area * fraction``, as CellProfiler does; NumPy counts from
        ``(area - 1) * fraction``.
        """
        rank = self.area * fraction
        below = np.minimum(rank.astype(np.int64), self.area - 1)
        above = np.minimum(below + 1, self.area - 1)
        weight = np.where(above > below, rank - below, 0.0)
        return np.asarray(
            ordered[self.start + below] * (1.0 - weight) + ordered[self.start + above] * weight
        )

    def place_of_maximum(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Index into the pixels of each object's first greatest value, int64 (n,)."""
        segments = zip(self.start, self.area, strict=True)
        return np.array(
            [begin + np.argmax(values[begin : begin + size]) for begin, size in segments]
        )
