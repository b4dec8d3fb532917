"""What five dyes would show: ideal fluorescence of the simulated cells, channel by channel.

Values are relative brightness: about 1 where a dye is bright, 0 outside of cells. Nothing here is
measured from real cells; the aim is that a contact sheet reads as Cell Painting at first sight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cp_assets.sample.bodies import Bodies
    from cp_assets.sample.segmentation import Anatomy

    Plane = NDArray[np.float32]
    Spot = tuple[float, float, float, float]

_DIVIDING_FRACTION = 0.3
_PSF_SIGMA_PX = 0.9
_HAZE_SIGMA_PX, _HAZE = 9.0, 0.10
_TINY = 1e-12
_TILE_PX = 240
"""Noise repeats after this many pixels; cells are smaller, so it does not show, and it is quick."""


@dataclass(frozen=True, eq=False)
class Specimen:
    """All that the dyes need: geometry, random numbers and the structures that channels share."""

    bodies: Bodies
    anatomy: Anatomy
    rng: np.random.Generator
    nucleoli: Plane
    thickness: Plane
    brightness: NDArray[np.float64]

    def per_cell(self, values: NDArray[np.float64]) -> Plane:
        """Spread one value a body, float64 (n,), over the pixels that it owns; 0 elsewhere."""
        return np.append(values, 0.0).astype(np.float32)[self.anatomy.owner]

    def noise(self, sigma_px: float) -> Plane:
        """Smooth noise of zero mean and unit deviation, correlated over `sigma_px`."""
        shape, step = self.anatomy.owner.shape, _coarse_step(sigma_px)
        whole = [-(-edge // step) for edge in shape]
        tile = [min(edge, -(-_TILE_PX // step)) for edge in whole]
        field = self.rng.standard_normal(tile, dtype=np.float32)
        field = ndimage.gaussian_filter(field, sigma_px / step, mode="wrap")
        rest = [(0, edge - part) for edge, part in zip(whole, tile, strict=True)]
        return _enlarge(np.pad(field / field.std(), rest, mode="wrap"), shape, step)

    def strands(self, sigma_px: float, width: float) -> Plane:
        """Winding strands, 1 on their middle line: the zero crossings of smooth noise."""
        return np.asarray(np.exp(-((self.noise(sigma_px) / width) ** 2)))

    def fade(self, length_px: float) -> Plane:
        """1 at the outline of the own nucleus (and inside), falling exponentially away from it."""
        return np.exp(-np.maximum(self.anatomy.from_nucleus_px, 0.0) / length_px)


def stain(bodies: Bodies, anatomy: Anatomy, rng: np.random.Generator) -> NDArray[np.float32]:
    """Ideal images of one site after the microscope's blur.

    Returns
    -------
    Relative brightness, float32 (c, y, x), channels as in `options.CHANNELS`.
    """
    specimen = _prepare(bodies, anatomy, rng)
    planes = [_dna(specimen), _rna(specimen), _er(specimen), _agp(specimen), _mito(specimen)]
    return np.stack([_blur(plane) for plane in planes])


def _prepare(bodies: Bodies, anatomy: Anatomy, rng: np.random.Generator) -> Specimen:
    spots: list[Spot] = []
    for index in np.flatnonzero(~bodies.orphan & ~bodies.mitotic):
        radius = bodies.nuclei.radius_px[index]
        for _ in range(rng.integers(2, 5)):
            away, turn = rng.uniform(0.05, 0.55) * radius, rng.uniform(0.0, 2.0 * np.pi)
            y, x = bodies.center_px[index] + away * np.array([np.sin(turn), np.cos(turn)])
            spots.append((y, x, rng.uniform(1.3, 2.3), rng.uniform(0.7, 1.0)))
    nucleoli = np.minimum(_draw_spots(anatomy.owner.shape, spots), 1.0)
    thickness = (1.0 - np.exp(-anatomy.to_edge_px / 5.0)) * anatomy.in_cell
    brightness = np.exp(rng.normal(0.0, 0.16, len(bodies)))
    return Specimen(bodies, anatomy, rng, nucleoli, thickness, brightness)


def _dna(specimen: Specimen) -> Plane:
    """Chromatin: grainy, dark at the nucleoli, twice as much before division; debris is bright."""
    bodies, anatomy = specimen.bodies, specimen.anatomy
    copies = np.where(specimen.rng.random(len(bodies)) < _DIVIDING_FRACTION, 1.55, 1.0)
    content = 0.5 * copies * np.exp(specimen.rng.normal(0.0, 0.08, len(bodies)))
    content = np.where(bodies.orphan, 1.25, np.where(bodies.mitotic, 1.6, content))
    dome = np.clip(1.0 - np.minimum(anatomy.nucleus_rho, 1.0) ** 2, _TINY, None) ** 0.22
    grain = 1.0 + 0.16 * specimen.noise(1.2) + 0.13 * specimen.noise(3.5)
    chromatin = (
        specimen.per_cell(content) * dome * np.maximum(grain, 0.2) * (1.0 - 0.5 * specimen.nucleoli)
    )
    return np.where(anatomy.in_nucleus, chromatin, 0.02 * specimen.thickness)


def _rna(specimen: Specimen) -> Plane:
    """Nucleoli above all, ribosomes around the nucleus, a fainter nucleoplasm."""
    anatomy = specimen.anatomy
    cytoplasm = (0.16 + 0.42 * specimen.fade(13.0)) * (1.0 + 0.14 * specimen.noise(1.4))
    inside = 0.34 + 0.05 * specimen.noise(1.5) + 0.75 * specimen.nucleoli
    plane = np.where(anatomy.in_nucleus, inside, cytoplasm * specimen.thickness)
    return _within(specimen, plane)


def _er(specimen: Specimen) -> Plane:
    """A net of membranes, dense around the nucleus and in its envelope, absent from its inside."""
    anatomy = specimen.anatomy
    net = 0.55 + 0.5 * specimen.strands(1.5, 0.55)
    envelope = 0.14 * np.exp(-((np.minimum(anatomy.from_nucleus_px, 9.0) / 2.2) ** 2))
    cytoplasm = ((0.12 + 0.80 * specimen.fade(11.0)) * net + envelope) * specimen.thickness
    return _within(specimen, np.where(anatomy.in_nucleus, 0.22 + envelope, cytoplasm))


def _agp(specimen: Specimen) -> Plane:
    """Actin fibres along the cell, bright membranes where it ends, the Golgi beside the nucleus."""
    anatomy = specimen.anatomy
    ruffles = np.clip(0.75 + 0.35 * specimen.noise(7.0), 0.25, None)
    membrane = np.exp(-anatomy.to_edge_px / 1.7) * ruffles
    fibres = _fibres(specimen) * np.clip(0.15 + 0.45 * specimen.noise(7.0), 0.0, 1.0)
    golgi = _draw_spots(anatomy.owner.shape, _golgi_spots(specimen))
    body = (0.15 + 0.10 * specimen.fade(14.0)) * (1.0 + 0.2 * specimen.noise(1.6)) + 0.35 * fibres
    plane = body * specimen.thickness + 0.6 * membrane + 0.5 * golgi
    return _within(specimen, np.where(anatomy.in_nucleus, 0.65 * plane, plane))


def _mito(specimen: Specimen) -> Plane:
    """Mitochondria: short bright threads and dots around the nucleus, few at the cell's edge."""
    anatomy = specimen.anatomy
    threads = specimen.strands(1.9, 0.42) * np.clip(0.75 + 0.6 * specimen.noise(2.6), 0.0, 1.6)
    dots = np.clip(specimen.noise(1.0) - 1.1, 0.0, 1.5)
    crowd = (0.06 + 0.94 * specimen.fade(9.0)) * (
        1.0 - np.exp(-np.maximum(anatomy.from_nucleus_px, 0.0) / 1.5)
    )
    plane = (0.08 + 0.95 * threads + 0.35 * dots) * crowd * specimen.thickness
    return _within(specimen, np.where(anatomy.in_nucleus, 0.05, plane))


def _within(specimen: Specimen, plane: Plane) -> Plane:
    """Scale by each cell's own brightness; nothing outside of cells, little in debris."""
    debris = np.where(specimen.anatomy.in_nucleus & ~specimen.anatomy.in_cell, 0.25, 0.0)
    kept = np.where(specimen.anatomy.in_cell, 1.0, debris).astype(np.float32)
    return np.asarray(np.maximum(plane, 0.0) * kept * specimen.per_cell(specimen.brightness))


def _fibres(specimen: Specimen) -> Plane:
    """Parallel, slightly wavy stress fibres along the long axis of each cell."""
    y, x = np.indices(specimen.anatomy.owner.shape, dtype=np.float32)
    across = y * specimen.per_cell(np.cos(specimen.bodies.cells.angle))
    across -= x * specimen.per_cell(np.sin(specimen.bodies.cells.angle))
    wave = np.sin(
        across * (2.0 * np.pi / 4.3) + 2.5 * specimen.noise(12.0) + 1.3 * specimen.noise(3.0)
    )
    return np.asarray(np.clip(wave, 0.0, None) ** 3)


def _golgi_spots(specimen: Specimen) -> list[Spot]:
    """A handful of small spots on one side of every nucleus that is at rest."""
    bodies, rng = specimen.bodies, specimen.rng
    spots: list[Spot] = []
    for index in np.flatnonzero(~bodies.orphan & ~bodies.mitotic):
        side = rng.uniform(0.0, 2.0 * np.pi)
        turns = side + rng.normal(0.0, 0.35, 9)
        away = bodies.nuclei.radius_px[index] * rng.uniform(1.12, 1.42, 9)
        for turn, distance in zip(turns, away, strict=True):
            y, x = bodies.center_px[index] + distance * np.array([np.sin(turn), np.cos(turn)])
            spots.append((y, x, rng.uniform(0.9, 1.6), rng.uniform(0.4, 1.0)))
    return spots


def _draw_spots(shape: tuple[int, ...], spots: Sequence[Spot]) -> Plane:
    """Sum of round spots, each (y px, x px, sigma px, height), cut off at the image's border."""
    plane = np.zeros(shape, dtype=np.float32)
    for y, x, sigma, height in spots:
        reach = int(np.ceil(3.0 * sigma))
        rows = np.arange(max(0, int(y) - reach), min(shape[0], int(y) + reach + 2))
        columns = np.arange(max(0, int(x) - reach), min(shape[1], int(x) + reach + 2))
        profile_y = np.exp(-0.5 * ((rows - y) / sigma) ** 2)
        profile_x = np.exp(-0.5 * ((columns - x) / sigma) ** 2)
        plane[np.ix_(rows, columns)] += height * np.outer(profile_y, profile_x)
    return plane


def _blur(plane: Plane) -> Plane:
    """The microscope's blur, and the haze of light from above and below the focus."""
    step = _coarse_step(_HAZE_SIGMA_PX)
    sharp = ndimage.gaussian_filter(plane, _PSF_SIGMA_PX, mode="nearest", truncate=3.0)
    haze = ndimage.gaussian_filter(plane[::step, ::step], _HAZE_SIGMA_PX / step, mode="nearest")
    return np.asarray(sharp + _HAZE * _enlarge(haze, plane.shape, step))


def _coarse_step(sigma_px: float) -> int:
    """Pixels that may be merged before a blur of `sigma_px`, which is several times faster then."""
    return max(1, int(sigma_px / 1.5))


def _enlarge(coarse: Plane, shape: tuple[int, ...], step: int) -> Plane:
    """Repeat each pixel `step` times along both axes, smoothly, and cut to `shape`."""
    if step == 1:
        return coarse
    fine = np.repeat(np.repeat(coarse, step, axis=0), step, axis=1)[: shape[0], : shape[1]]
    return np.asarray(ndimage.uniform_filter(fine, step, mode="nearest"))
