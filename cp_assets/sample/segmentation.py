"""The true segmentation of one site: which pixel belongs to which nucleus and which cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.measure import label

from cp_assets.sample.bodies import DIRECTIONS
from cp_assets.sample.object_pixels import outermost_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cp_assets.sample.bodies import Bodies

_NOBODY = -1


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Every pixel's place within its cell; all arrays are (y, x).

    Attributes
    ----------
    owner
        Index of the body in `Bodies` whose nucleus or cell covers the pixel, -1 outside; int32.
    in_nucleus, in_cell
        Whether the pixel lies in a nucleus; in a cell or its nucleus (orphans have no cell); bool.
    nucleus_rho
        Distance from the nucleus' centre over the nucleus' radius in that direction, 1 on its
        outline, infinite outside of all bodies; float32.
    from_nucleus_px
        Distance from the outline of the own nucleus in pixels, negative inside and infinite outside
        of all bodies; float32.
    to_edge_px
        Distance to the edge of the own cell in pixels, 0 outside of cells; float32.
    """

    owner: NDArray[np.int32]
    in_nucleus: NDArray[np.bool_]
    in_cell: NDArray[np.bool_]
    nucleus_rho: NDArray[np.float32]
    from_nucleus_px: NDArray[np.float32]
    to_edge_px: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Labels:
    """Label images as CellProfiler numbers objects, uint16 (y, x), 0 outside.

    Attributes
    ----------
    nuclei
        Nuclei, numbered from the top of the image down.
    cells
        Cells, numbered in another, random order.
    cytoplasm
        Cells without their nuclei; the numbers are those of the cells.
    parent_nucleus
        Nucleus number of cell number i + 1, int64 (cells,); never the cell's own number if there
        are two cells or more.
    """

    nuclei: NDArray[np.uint16]
    cells: NDArray[np.uint16]
    cytoplasm: NDArray[np.uint16]
    parent_nucleus: NDArray[np.int64]

    @property
    def nucleus_count(self) -> int:
        """Nuclei of the site, orphans included."""
        return int(self.nuclei.max())

    @property
    def orphan_nuclei(self) -> tuple[int, ...]:
        """Numbers of the nuclei that no cell has for a parent, ascending."""
        return tuple(
            sorted(set(range(1, self.nucleus_count + 1)) - set(self.parent_nucleus.tolist()))
        )


def dissect(bodies: Bodies, size: tuple[int, int]) -> Anatomy:
    """Give every pixel of an image of `size` (height, width) to the body that it lies deepest in.

    Cells that would overlap therefore share an edge, as touching cells do, and every nucleus
    belongs to its own cell.
    """
    best = np.ones(size, dtype=np.float32)
    owner = np.full(size, _NOBODY, dtype=np.int32)
    nucleus_rho = np.full(size, np.inf, dtype=np.float32)
    from_nucleus = np.full(size, np.inf, dtype=np.float32)
    outlines = zip(bodies.nuclei.radius_table(), bodies.cells.radius_table(), strict=True)
    for index, (nucleus, cell) in enumerate(outlines):
        reach = int(np.ceil(max(nucleus.max(), cell.max()))) + 1
        window, distance, direction = _polar_window(bodies.center_px[index], reach, size)
        nucleus_radius = nucleus[direction]
        rho = distance / nucleus_radius
        depth = np.where(rho < 1.0, rho - 2.0, distance / cell[direction])
        won = depth < best[window]
        best[window][won] = depth[won]
        owner[window][won] = index
        nucleus_rho[window][won] = rho[won]
        from_nucleus[window][won] = (distance - nucleus_radius)[won]
    owner = _keep_piece_with_nucleus(owner, nucleus_rho < 1.0)
    in_nucleus = (owner != _NOBODY) & (nucleus_rho < 1.0)
    in_cell = (owner != _NOBODY) & ~bodies.orphan[owner]
    owner[~in_cell & ~in_nucleus] = _NOBODY
    outside = owner == _NOBODY
    nucleus_rho[outside] = from_nucleus[outside] = np.inf
    return Anatomy(
        owner, in_nucleus, in_cell, nucleus_rho, from_nucleus, _distance_to_edge(owner, in_cell)
    )


def number_objects(bodies: Bodies, anatomy: Anatomy, rng: np.random.Generator) -> Labels:
    """Number the nuclei by their place and the cells at random, independently of each other."""
    owners = anatomy.owner[anatomy.in_nucleus]
    _, first = np.unique(owners, return_index=True)
    in_reading_order = owners[np.sort(first)]
    nucleus_number = np.zeros(len(bodies) + 1, dtype=np.int64)
    nucleus_number[in_reading_order] = np.arange(1, len(in_reading_order) + 1)
    with_cell = in_reading_order[~bodies.orphan[in_reading_order]]
    cell_number = np.zeros(len(bodies) + 1, dtype=np.int64)
    cell_number[with_cell] = _numbers_apart_from(nucleus_number[with_cell], rng)
    parent = np.zeros(len(with_cell), dtype=np.int64)
    parent[cell_number[with_cell] - 1] = nucleus_number[with_cell]
    nuclei = np.where(anatomy.in_nucleus, nucleus_number[anatomy.owner], 0).astype(np.uint16)
    cells = np.where(anatomy.in_cell, cell_number[anatomy.owner], 0).astype(np.uint16)
    cytoplasm = np.where(anatomy.in_nucleus, 0, cells).astype(np.uint16)
    return Labels(nuclei=nuclei, cells=cells, cytoplasm=cytoplasm, parent_nucleus=parent)


def _polar_window(
    center_px: NDArray[np.float64], reach: int, size: tuple[int, int]
) -> tuple[tuple[slice, slice], NDArray[np.float32], NDArray[np.intp]]:
    """The window within `reach` pixels of a centre: distance (px), and column of `radius_table`."""
    (center_y, center_x), (height, width) = center_px, size
    rows = slice(max(0, int(center_y) - reach), min(height, int(center_y) + reach + 2))
    columns = slice(max(0, int(center_x) - reach), min(width, int(center_x) + reach + 2))
    dy = (np.arange(rows.start, rows.stop) - center_y).astype(np.float32)[:, np.newaxis]
    dx = (np.arange(columns.start, columns.stop) - center_x).astype(np.float32)[np.newaxis, :]
    turns = np.arctan2(dy, dx) / (2.0 * np.pi) + 0.5
    return (rows, columns), np.hypot(dy, dx), np.rint(turns * DIRECTIONS).astype(np.intp)


def _keep_piece_with_nucleus(
    owner: NDArray[np.int32], in_nucleus: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Drop the pieces that a neighbour cut off, so that every cell is in one piece."""
    pieces = label(owner, background=_NOBODY, connectivity=1)
    sizes = np.bincount(pieces[in_nucleus], minlength=int(pieces.max()) + 1)
    owner_of_piece = np.full(len(sizes), _NOBODY)
    owner_of_piece[pieces.ravel()] = owner.ravel()
    best = np.zeros(int(owner.max()) + 1, dtype=np.int64)
    for piece in np.argsort(sizes, kind="stable"):
        if sizes[piece] > 0:
            best[owner_of_piece[piece]] = piece
    return np.where((owner != _NOBODY) & (pieces == best[owner]), owner, _NOBODY).astype(np.int32)


def _distance_to_edge(owner: NDArray[np.int32], in_cell: NDArray[np.bool_]) -> NDArray[np.float32]:
    edge = outermost_pixels(np.where(in_cell, owner + 1, 0))
    distance = ndimage.distance_transform_edt(~edge) + 0.5
    return np.where(in_cell, distance, 0.0).astype(np.float32)


def _numbers_apart_from(taken: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """A random order of 1..n that differs from `taken` (ascending) at every place, if n > 1."""
    numbers = rng.permutation(len(taken)).astype(np.int64) + 1
    while len(taken) > 1 and np.any(numbers == taken):
        numbers = rng.permutation(numbers)
    return numbers
