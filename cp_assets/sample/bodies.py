"""Where the simulated cells lie and what outline each has, before any pixel exists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cp_assets.sample.options import SampleOptions
    from cp_assets.sample.treatments import Treatment

NUCLEUS_RADIUS_PX = 13.0
CELL_RADIUS_PX = 36.0
ORPHAN_RADIUS_PX = 6.5
NUCLEUS_SPACING_PX = 38.0
"""Least distance of two nuclei's centres: nuclei never touch, whatever their radius."""

DIRECTIONS = 720
"""Steps of a full turn in `StarShapes.radius_table`."""

_MARGIN_PX = 2.0
_TRIES_PER_BODY = 60
_ORPHAN_FRACTION = 0.06
_MITOTIC_FRACTION = 0.05
_COMPANY_FRACTION = 0.1


@dataclass(frozen=True, eq=False)
class StarShapes:
    """Outlines of n bodies in polar form around their centres; index i of each array is one body.

    Attributes
    ----------
    radius_px
        Radius of the circle of equal area, float64 (n,).
    stretch
        Major axis over minor axis of the ellipse, float64 (n,).
    angle
        Direction of the major axis in radians, float64 (n,).
    amplitude, phase
        Relative size and phase (radians) of the waves 2, 3, ... along the outline, float64
        (n, waves).
    """

    radius_px: NDArray[np.float64]
    stretch: NDArray[np.float64]
    angle: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    phase: NDArray[np.float64]

    def radius_table(self) -> NDArray[np.float32]:
        """Distance in pixels from each centre to the outline, float32 (n, `DIRECTIONS` + 1).

        Column 0 is the direction -pi, the last one pi: half a degree from one to the next, which is
        less than half a pixel on the largest outline.
        """
        theta = np.linspace(-np.pi, np.pi, DIRECTIONS + 1)
        stretch = np.sqrt(self.stretch)[:, np.newaxis]
        turned = theta - self.angle[:, np.newaxis]
        ellipse = 1.0 / np.hypot(np.cos(turned) / stretch, np.sin(turned) * stretch)
        waves = np.arange(2, 2 + self.amplitude.shape[1])
        angles = np.multiply.outer(theta, waves)[np.newaxis] + self.phase[:, np.newaxis, :]
        wobble = 1.0 + np.einsum("ndw,nw->nd", np.cos(angles), self.amplitude)
        return np.asarray(self.radius_px[:, np.newaxis] * ellipse * wobble, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Bodies:
    """The n nuclei of one site and the cells around most of them.

    Attributes
    ----------
    center_px
        (y, x) of each nucleus, float64 (n, 2); always inside of the image.
    nuclei, cells
        Outlines of the nuclei and of the cell bodies.
    orphan
        True for a nucleus without a cell, such as debris of a dead cell; bool (n,).
    mitotic
        True for a cell in metaphase; bool (n,).
    """

    center_px: NDArray[np.float64]
    nuclei: StarShapes
    cells: StarShapes
    orphan: NDArray[np.bool_]
    mitotic: NDArray[np.bool_]

    def __len__(self) -> int:
        """Count the nuclei."""
        return len(self.center_px)


def draw_bodies(rng: np.random.Generator, options: SampleOptions, treatment: Treatment) -> Bodies:
    """Draw the nuclei and cells of one site, at least one of the nuclei an orphan."""
    wanted = max(4, round(options.cells * treatment.density * rng.uniform(0.85, 1.15)))
    center = _draw_centers(rng, options.image_size, wanted)
    count = len(center)
    orphan = np.zeros(count, dtype=np.bool_)
    orphan[rng.choice(count, size=max(1, round(_ORPHAN_FRACTION * count)), replace=False)] = True
    mitotic = (rng.random(count) < _MITOTIC_FRACTION) & ~orphan
    nuclei = _draw_nuclei(rng, orphan, mitotic, treatment.nucleus_scale)
    cells = _draw_cells(rng, nuclei, orphan, mitotic, treatment.cell_scale)
    return Bodies(center_px=center, nuclei=nuclei, cells=cells, orphan=orphan, mitotic=mitotic)


def _draw_centers(
    rng: np.random.Generator, size: tuple[int, int], wanted: int
) -> NDArray[np.float64]:
    """Points (y, x) that keep their distance but prefer company, as cells in culture do."""
    low, high = _MARGIN_PX, np.asarray(size, dtype=np.float64) - 1.0 - _MARGIN_PX
    centers = np.empty((0, 2), dtype=np.float64)
    for _ in range(wanted):
        candidates = rng.uniform(low, high, size=(_TRIES_PER_BODY, 2))
        offsets = candidates[:, np.newaxis, :] - centers[np.newaxis, :, :]
        nearest = np.hypot(offsets[..., 0], offsets[..., 1]).min(axis=1, initial=np.inf)
        free = candidates[nearest >= NUCLEUS_SPACING_PX]
        if len(free) == 0:
            break
        company = nearest[nearest >= NUCLEUS_SPACING_PX]
        pick = int(np.argmin(company)) if rng.random() < _COMPANY_FRACTION else 0
        centers = np.vstack([centers, free[pick]])
    return centers


def _draw_nuclei(
    rng: np.random.Generator, orphan: NDArray[np.bool_], mitotic: NDArray[np.bool_], scale: float
) -> StarShapes:
    count = len(orphan)
    radius = NUCLEUS_RADIUS_PX * scale * np.clip(rng.normal(1.0, 0.09, count), 0.8, 1.15)
    stretch = rng.uniform(1.05, 1.45, count)
    radius = np.where(orphan, ORPHAN_RADIUS_PX * rng.uniform(0.85, 1.25, count), radius)
    radius = np.where(mitotic, 0.72 * NUCLEUS_RADIUS_PX, radius)
    stretch = np.where(orphan, rng.uniform(1.0, 1.15, count), np.where(mitotic, 2.3, stretch))
    radius = np.minimum(radius, 0.49 * NUCLEUS_SPACING_PX / np.sqrt(stretch) / 1.06)
    amplitude = rng.uniform(-1.0, 1.0, (count, 3)) * np.array([0.02, 0.025, 0.015])
    return StarShapes(radius, stretch, _angles(rng, (count,)), amplitude, _angles(rng, (count, 3)))


def _draw_cells(
    rng: np.random.Generator,
    nuclei: StarShapes,
    orphan: NDArray[np.bool_],
    mitotic: NDArray[np.bool_],
    scale: float,
) -> StarShapes:
    count = len(orphan)
    radius = CELL_RADIUS_PX * scale * np.exp(rng.normal(0.0, 0.13, count))
    radius = np.where(mitotic, 1.75 * NUCLEUS_RADIUS_PX, radius)
    radius = np.where(orphan, 1.35 * nuclei.radius_px, radius)
    stretch = np.where(orphan | mitotic, 1.05, rng.uniform(1.0, 1.9, count))
    angle = nuclei.angle + rng.normal(0.0, 0.3, count)
    amplitude = rng.uniform(-1.0, 1.0, (count, 5)) * np.array([0.12, 0.12, 0.10, 0.06, 0.05])
    amplitude[orphan | mitotic] *= 0.15
    return StarShapes(radius, stretch, angle, amplitude, _angles(rng, (count, 5)))


def _angles(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return rng.uniform(0.0, 2.0 * np.pi, shape)
