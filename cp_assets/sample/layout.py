"""Where each file of a sample lies, as in the Cell Painting Gallery."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cp_assets.sample.options import SampleOptions, row_and_column

WORKER_INPUT = PurePosixPath("/home/ubuntu/local_input")
WORKER_OUTPUT = PurePosixPath("/home/ubuntu/local_output")
"""Where the machine that ran CellProfiler had its files; no reader of a sample has such paths."""

PHENIX_CHANNEL = {"Mito": 1, "AGP": 2, "RNA": 3, "ER": 4, "DNA": 5}
"""Channel numbers in the microscope's file names."""

COMPARTMENTS = ("Cells", "Nuclei", "Cytoplasm")
OUTLINED = {"CellOutlines": "cell_outlines", "NucleiOutlines": "nuclei_outlines"}
"""Name in Image.csv and in the file name of each outline image."""

_MEASURED_AT = "2026-11-21T10_00_00-Measurement1"


@dataclass(frozen=True)
class Site:
    """Names of one site's files."""

    plate: str
    well: str
    number: int

    @property
    def image_set(self) -> str:
        """Folder of the site's measurements, for example ``BR00900001-E07-1``."""
        return f"{self.plate}-{self.well}-{self.number}"

    def image_name(self, channel: str) -> str:
        """File name of one channel, as ``r05c07f01p01-ch5sk1fk1fl1.tiff`` on every plate."""
        row, column = row_and_column(self.well)
        field = f"r{row:02d}c{column:02d}f{self.number:02d}p01"
        return f"{field}-ch{PHENIX_CHANNEL[channel]}sk1fk1fl1.tiff"

    def overlay_name(self, what: str, suffix: str) -> str:
        """File name of an outline or mask, for example ``E07_s1--cell_outlines.png``."""
        return f"{self.well}_s{self.number}--{what}{suffix}"


@dataclass(frozen=True)
class SampleLayout:
    """Folders of a sample, relative to its root, and the same folders on the worker."""

    options: SampleOptions

    def images(self, plate: str) -> PurePosixPath:
        """Folder of a plate's images."""
        return PurePosixPath(
            "images", self.options.batch, "images", f"{plate}__{_MEASURED_AT}", "Images"
        )

    def illum(self, plate: str) -> PurePosixPath:
        """Folder of a plate's illumination functions."""
        return PurePosixPath("images", self.options.batch, "illum", plate)

    def illum_name(self, plate: str, channel: str) -> str:
        """File name of an illumination function."""
        return f"{plate}_Illum{channel}.npy"

    def analysis(self, site: Site) -> PurePosixPath:
        """Folder of a site's measurements, outlines and masks."""
        return PurePosixPath(
            "workspace/analysis", self.options.batch, site.plate, "analysis", site.image_set
        )

    def load_data(self, plate: str) -> PurePosixPath:
        """Folder of a plate's load_data files."""
        return PurePosixPath("workspace/load_data_csv", self.options.batch, plate)

    def platemaps(self) -> PurePosixPath:
        """Folder of the batch's plate maps."""
        return PurePosixPath("workspace/metadata/platemaps", self.options.batch)

    def on_worker(self, folder: PurePosixPath) -> PurePosixPath:
        """An input folder as the machine that ran CellProfiler saw it."""
        return WORKER_INPUT / self.options.prefix / folder

    def outlines_on_worker(self, site: Site) -> PurePosixPath:
        """Where that machine saved a site's outlines."""
        return WORKER_OUTPUT / site.image_set / "outlines"


def under(root: Path, folder: PurePosixPath) -> Path:
    """A folder of the sample on this machine."""
    return root.joinpath(*folder.parts)
