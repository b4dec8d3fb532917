"""Reading a sample back without cp_assets, so that the tests are independent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import tifffile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cp_assets.sample import SampleOptions, SampleTruth

PHENIX = {"Mito": 1, "AGP": 2, "RNA": 3, "ER": 4, "DNA": 5}


@dataclass(frozen=True)
class WrittenSite:
    """The files of one site."""

    root: Path
    batch: str
    plate: str
    well: str
    site: int

    @property
    def analysis(self) -> Path:
        folder = f"{self.plate}-{self.well}-{self.site}"
        return self.root / "workspace" / "analysis" / self.batch / self.plate / "analysis" / folder

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.analysis / f"{name}.csv", float_precision="round_trip")

    def mask(self, what: str) -> NDArray[np.uint16]:
        return tifffile.imread(
            self.analysis / "masks" / f"{self.well}_s{self.site}--{what}_mask.tiff"
        )

    def image_path(self, channel: str) -> Path:
        row, column = ord(self.well[0]) - 64, int(self.well[1:])
        name = f"r{row:02d}c{column:02d}f{self.site:02d}p01-ch{PHENIX[channel]}sk1fk1fl1.tiff"
        folder = f"{self.plate}__2026-11-21T10_00_00-Measurement1"
        return self.root / "images" / self.batch / "images" / folder / "Images" / name

    def image(self, channel: str) -> NDArray[np.uint16]:
        return tifffile.imread(self.image_path(channel))


def places(options: SampleOptions) -> Iterator[tuple[str, str, int]]:
    """Every (plate, well, site) of a sample, in order."""
    for plate in options.plate_names:
        for well in options.well_names:
            for site in options.site_numbers:
                yield plate, well, site


def written_sites(sample: SampleTruth) -> list[WrittenSite]:
    """Every site of a written sample, in order."""
    return [
        WrittenSite(sample.root, sample.options.batch, *place) for place in places(sample.options)
    ]
