"""What is true of a sample: the label images, the pixels and the measurements of every cell.

Everything here is made from `SampleOptions` alone, never read from files, so that a test can hold
what it read against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cp_assets.errors import ConfigurationError
from cp_assets.sample.bodies import draw_bodies
from cp_assets.sample.camera import MAX_INTENSITY, expose, illumination
from cp_assets.sample.options import CHANNELS
from cp_assets.sample.random_streams import Stream, generator
from cp_assets.sample.segmentation import Labels, dissect, number_objects
from cp_assets.sample.staining import stain
from cp_assets.sample.treatments import treatment_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cp_assets.sample.options import SampleOptions


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open box in pixels: ``image[y_min:y_max, x_min:x_max]`` holds the object."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int

    @classmethod
    def around(cls, mask: NDArray[np.bool_]) -> Box:
        """Smallest box around the pixels of a mask (y, x), which must have one at least."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        return cls(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box in an image (y, x)."""
        return slice(self.y_min, self.y_max), slice(self.x_min, self.x_max)


@dataclass(frozen=True, slots=True)
class CellTruth:
    """One cell and the nucleus that lies in it.

    Attributes
    ----------
    plate, well, site
        Where the cell is.
    cell_number, nucleus_number
        CellProfiler's ObjectNumber of the cell (and its cytoplasm) and of its nucleus.
    cell_box, nucleus_box
        Bounding boxes in pixels.
    cell_area_px, nucleus_area_px
        Number of pixels.
    cell_mean, nucleus_mean
        Mean intensity by channel, 0 to 1.
    """

    plate: str
    well: str
    site: int
    cell_number: int
    nucleus_number: int
    cell_box: Box
    nucleus_box: Box
    cell_area_px: int
    nucleus_area_px: int
    cell_mean: Mapping[str, float]
    nucleus_mean: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class SiteTruth:
    """Pixels and segmentation of one site.

    Attributes
    ----------
    plate, well, site
        Where the site is.
    pixels
        Raw images, uint16 (c, y, x), channels as in `CHANNELS`.
    labels
        Label images of the compartments.
    """

    plate: str
    well: str
    site: int
    pixels: NDArray[np.uint16]
    labels: Labels

    def image(self, channel: str) -> NDArray[np.uint16]:
        """Raw image of one channel, uint16 (y, x)."""
        image: NDArray[np.uint16] = self.pixels[CHANNELS.index(channel)]
        return image

    def cell_mask(self, cell_number: int) -> NDArray[np.bool_]:
        """Pixels of one cell, bool (y, x)."""
        return np.equal(self.labels.cells, cell_number)

    def nucleus_mask(self, nucleus_number: int) -> NDArray[np.bool_]:
        """Pixels of one nucleus, bool (y, x)."""
        return np.equal(self.labels.nuclei, nucleus_number)

    @property
    def cells(self) -> tuple[CellTruth, ...]:
        """Every cell of the site, by cell number."""
        parents = enumerate(self.labels.parent_nucleus.tolist(), start=1)
        return tuple(self._cell(cell, nucleus) for cell, nucleus in parents)

    def _cell(self, cell_number: int, nucleus_number: int) -> CellTruth:
        cell, nucleus = self.cell_mask(cell_number), self.nucleus_mask(nucleus_number)
        cell_box, nucleus_box = Box.around(cell), Box.around(nucleus)
        return CellTruth(
            plate=self.plate,
            well=self.well,
            site=self.site,
            cell_number=cell_number,
            nucleus_number=nucleus_number,
            cell_box=cell_box,
            nucleus_box=nucleus_box,
            cell_area_px=int(np.count_nonzero(cell)),
            nucleus_area_px=int(np.count_nonzero(nucleus)),
            cell_mean=self._means(cell, cell_box),
            nucleus_mean=self._means(nucleus, nucleus_box),
        )

    def _means(self, mask: NDArray[np.bool_], box: Box) -> dict[str, float]:
        inside = mask[box.slices]
        crops = self.pixels[(slice(None), *box.slices)]
        return {
            channel: float(crop[inside].mean(dtype=np.float64) / MAX_INTENSITY)
            for channel, crop in zip(CHANNELS, crops, strict=True)
        }


@dataclass(frozen=True)
class SampleTruth:
    """A written sample and what is true of it.

    Attributes
    ----------
    root
        The ``<source>`` folder that holds ``images`` and ``workspace``.
    options
        What the sample was made from.
    cells
        Every cell of every plate, in the order of plate, well, site and cell number.
    orphan_nuclei
        Number of nuclei without a cell, over all sites.
    """

    root: Path
    options: SampleOptions
    cells: tuple[CellTruth, ...]
    orphan_nuclei: int

    def site(self, plate: str, well: str, site: int) -> SiteTruth:
        """Pixels and segmentation of one site, made anew."""
        return site_truth(self.options, plate, well, site)


def site_truth(options: SampleOptions, plate: str, well: str, site: int) -> SiteTruth:
    """Make the pixels and the segmentation of one site.

    The result depends on the arguments alone: not on other sites, files or what was made before.

    Parameters
    ----------
    options
        The sample's options.
    plate, well, site
        One of `SampleOptions.plate_names`, `well_names` and `site_numbers`.

    Raises
    ------
    ConfigurationError
        If the sample has no such plate, well or site.
    """
    if site not in options.site_numbers:
        msg = f"the sample has no site {site!r}; it has 1 to {options.sites}"
        raise ConfigurationError(msg)
    place = (options.plate_index(plate), options.well_index(well), site)
    treatment = treatment_of(place[1])
    bodies = draw_bodies(generator(options.seed, Stream.LAYOUT, *place), options, treatment)
    anatomy = dissect(bodies, options.image_size)
    labels = number_objects(bodies, anatomy, generator(options.seed, Stream.NUMBERING, *place))
    brightness = stain(bodies, anatomy, generator(options.seed, Stream.STAIN, *place))
    light = np.stack([illumination(options, plate, channel) for channel in CHANNELS])
    pixels = expose(
        brightness, light, treatment.gain, generator(options.seed, Stream.CAMERA, *place)
    )
    return SiteTruth(plate=plate, well=well, site=site, pixels=pixels, labels=labels)
