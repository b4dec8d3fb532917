"""What a sample prefix shall hold, and the names of its plates and wells."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from cp_assets.errors import ConfigurationError

CHANNELS = ("DNA", "RNA", "ER", "AGP", "Mito")
"""Channel names; the c axis of every (c, y, x) array of this package is in this order."""

PIXEL_SIZE_UM = 0.598
"""Edge of a pixel in micrometres: a 20x objective, camera binned 2 x 2."""

PLATE_ROWS, PLATE_COLUMNS = 16, 24
MAX_WELLS = PLATE_ROWS * PLATE_COLUMNS
MAX_PLATES = 9_999
MAX_SITES = 99
MIN_CELLS, MAX_CELLS = 4, 5_000
MIN_IMAGE_EDGE_PX, MAX_IMAGE_EDGE_PX = 96, 4_096

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """Size, names and seed of a sample prefix; two equal options give equal bytes.

    Attributes
    ----------
    plates
        Number of plates, 1 to 9,999.
    wells
        Imaged wells of each plate, 1 to 384; the same wells on every plate.
    sites
        Sites of each well, 1 to 99.
    cells
        Cells of a site to aim for, 4 to 5,000; fewer when the image is too small to hold them.
    seed
        Seed of everything random, 0 or greater.
    project, source, batch
        Folder names of the prefix, as in the Cell Painting Gallery.
    image_size
        (height, width) of an image in pixels, 96 to 4,096 each. Not square by default, so that
        swapped axes cannot go unnoticed.

    Raises
    ------
    ConfigurationError
        If an option is out of its range or a name cannot be a folder; every fault is listed.
    """

    plates: int = 2
    wells: int = 4
    sites: int = 2
    cells: int = 40
    seed: int = 0
    project: str = "cpg9999-sample"
    source: str = "source_1"
    batch: str = "2026_11_21_Batch1"
    image_size: tuple[int, int] = (376, 424)

    def __post_init__(self) -> None:
        """Refuse what cannot be written."""
        faults = [*self._faults_of_numbers(), *self._faults_of_names()]
        if faults:
            msg = f"cannot write a sample with these options: {'; '.join(faults)}"
            raise ConfigurationError(msg)

    def _faults_of_numbers(self) -> list[str]:
        ranges = {
            "plates": (self.plates, 1, MAX_PLATES),
            "wells": (self.wells, 1, MAX_WELLS),
            "sites": (self.sites, 1, MAX_SITES),
            "cells": (self.cells, MIN_CELLS, MAX_CELLS),
            "image height": (self.image_size[0], MIN_IMAGE_EDGE_PX, MAX_IMAGE_EDGE_PX),
            "image width": (self.image_size[1], MIN_IMAGE_EDGE_PX, MAX_IMAGE_EDGE_PX),
            "seed": (self.seed, 0, 2**63 - 1),
        }
        return [
            f"{name} must be {low} to {high}, got {value}"
            for name, (value, low, high) in ranges.items()
            if not low <= value <= high
        ]

    def _faults_of_names(self) -> list[str]:
        names = {"project": self.project, "source": self.source, "batch": self.batch}
        return [
            f"{name} must be a plain folder name (letters, digits, '_', '-', '.'), got {value!r}"
            for name, value in names.items()
            if not _FOLDER_NAME.fullmatch(value)
        ]

    @property
    def prefix(self) -> str:
        """Where the prefix lies in a bucket: ``<project>/<source>``."""
        return f"{self.project}/{self.source}"

    @property
    def plate_names(self) -> tuple[str, ...]:
        """Plate barcodes, for example ``BR00900001``."""
        return tuple(f"BR{900_000 + number:08d}" for number in range(1, self.plates + 1))

    @property
    def well_names(self) -> tuple[str, ...]:
        """Imaged wells in row order, spread evenly over a 384-well plate, for example ``E07``."""
        rows = math.ceil(math.sqrt(self.wells * PLATE_ROWS / PLATE_COLUMNS))
        columns = math.ceil(self.wells / rows)
        places = [divmod(index, columns) for index in range(self.wells)]
        return tuple(
            _well_name(_spread(row, rows, PLATE_ROWS), _spread(column, columns, PLATE_COLUMNS))
            for row, column in places
        )

    @property
    def site_numbers(self) -> range:
        """Sites of every well, from 1."""
        return range(1, self.sites + 1)

    def plate_index(self, plate: str) -> int:
        """Place of a plate in `plate_names`, from 0; `ConfigurationError` if it has none."""
        return _place(plate, self.plate_names, "plate")

    def well_index(self, well: str) -> int:
        """Place of a well in `well_names`, from 0; `ConfigurationError` if it has none."""
        return _place(well, self.well_names, "well")


def row_and_column(well: str) -> tuple[int, int]:
    """Row and column of a well name, from 1: ``B07`` is (2, 7)."""
    return ord(well[0]) - ord("A") + 1, int(well[1:])


def _well_name(row: int, column: int) -> str:
    return f"{chr(ord('A') + row)}{column + 1:02d}"


def _spread(index: int, count: int, available: int) -> int:
    return (2 * index + 1) * available // (2 * count)


def _place(name: str, names: tuple[str, ...], kind: str) -> int:
    if name not in names:
        msg = f"the sample has no {kind} {name!r}; it has {names[0]} to {names[-1]} ({len(names)})"
        raise ConfigurationError(msg)
    return names.index(name)
