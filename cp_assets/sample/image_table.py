"""Image.csv and Experiment.csv of one site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cp_assets.sample.camera import MAX_INTENSITY
from cp_assets.sample.csv_text import table_bytes
from cp_assets.sample.layout import OUTLINED, SampleLayout, Site
from cp_assets.sample.object_tables import IMAGE_NUMBER
from cp_assets.sample.options import CHANNELS, row_and_column
from cp_assets.sample.random_streams import Stream, generator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePosixPath

    from numpy.typing import NDArray

    from cp_assets.sample.truth import SiteTruth

    Row = dict[str, object]

MODULES = (
    "LoadData",
    "MeasureImageQuality",
    "IdentifyPrimaryObjects",
    "IdentifySecondaryObjects",
    "IdentifyTertiaryObjects",
    "MeasureObjectIntensity",
    "MeasureObjectSizeShape",
    "MeasureColocalization",
    "MeasureTexture",
    "OverlayOutlines",
    "SaveImages",
    "ExportToSpreadsheet",
)
"""Modules of the pipeline that the sample pretends to come from."""

_VERSION = "4.2.6"
_RUN_AT = "2026-11-21T12:00:00.000000"
_PIPELINE = "\n".join(
    [
        "CellProfiler Pipeline: http://www.cellprofiler.org",
        "Version:5",
        f"ModuleCount:{len(MODULES)}",
        "HasImagePlaneDetails:False",
        "",
        *(
            f"{name}:[module_num:{number}|notes:['Simulated by cp_assets.sample, not run']]"
            for number, name in enumerate(MODULES, start=1)
        ),
    ]
)


@dataclass(frozen=True)
class Digests:
    """MD5 of the files that the image set was read from, as hexadecimal text by channel."""

    images: Mapping[str, str]
    illum: Mapping[str, str]


def image_table(layout: SampleLayout, truth: SiteTruth, digests: Digests) -> bytes:
    """Content of Image.csv: one row, for one image set."""
    site = Site(truth.plate, truth.well, truth.site)
    row = {
        **_counts(truth),
        **_input_files(layout, site, digests),
        **_saved_files(layout, site),
        **_keys(site),
        **_modules(layout, truth),
    }
    for channel in CHANNELS:
        row |= _quality(truth.image(channel), f"Orig{channel}")
    names = sorted(row)
    return table_bytes(names, [[row[name] for name in names]])


def experiment_table() -> bytes:
    """Content of Experiment.csv, with a pipeline text of several lines as CellProfiler keeps it."""
    rows = {
        "CellProfiler_Version": _VERSION,
        "Metadata_Tags": '["Metadata_Plate", "Metadata_Site", "Metadata_Well"]',
        "Pipeline_Pipeline": _PIPELINE,
        "Run_Timestamp": _RUN_AT,
    }
    return table_bytes(["Key", "Value"], list(rows.items()))


def _counts(truth: SiteTruth) -> Row:
    cells = float(len(truth.labels.parent_nucleus))
    nuclei = float(truth.labels.nucleus_count)
    return {"Count_Cells": cells, "Count_Cytoplasm": cells, "Count_Nuclei": nuclei}


def _input_files(layout: SampleLayout, site: Site, digests: Digests) -> Row:
    height, width = layout.options.image_size
    images, illum = (
        layout.on_worker(layout.images(site.plate)),
        layout.on_worker(layout.illum(site.plate)),
    )
    row: Row = {}
    for channel in CHANNELS:
        original, function = f"Orig{channel}", f"Illum{channel}"
        row |= _file(original, images, site.image_name(channel))
        row |= _file(function, illum, layout.illum_name(site.plate, channel))
        row |= {
            f"MD5Digest_{original}": digests.images[channel],
            f"Scaling_{original}": MAX_INTENSITY,
        }
        row |= {f"MD5Digest_{function}": digests.illum[channel], f"Scaling_{function}": 1.0}
        for name in (original, function):
            row |= {
                f"Height_{name}": height,
                f"Width_{name}": width,
                f"Frame_{name}": 0,
                f"Series_{name}": 0,
            }
    return row


def _saved_files(layout: SampleLayout, site: Site) -> Row:
    """Names of the outlines; SaveImages records neither their size nor a digest."""
    row: Row = {}
    for name, what in OUTLINED.items():
        row |= _file(name, layout.outlines_on_worker(site), site.overlay_name(what, ".png"))
    return row


def _file(name: str, folder: PurePosixPath, file_name: str) -> Row:
    return {
        f"FileName_{name}": file_name,
        f"PathName_{name}": str(folder),
        f"URL_{name}": f"file:{folder}/{file_name}",
    }


def _keys(site: Site) -> Row:
    row, column = row_and_column(site.well)
    return {
        "ImageNumber": IMAGE_NUMBER,
        "Group_Index": 1,
        "Group_Length": 1,
        "Group_Number": 1,
        "Metadata_Plate": site.plate,
        "Metadata_Well": site.well,
        "Metadata_Site": site.number,
        "Metadata_Row": row,
        "Metadata_Col": column,
    }


def _modules(layout: SampleLayout, truth: SiteTruth) -> Row:
    """No module failed; the seconds each took are made up, but the same in every run."""
    options = layout.options
    place = (options.plate_index(truth.plate), options.well_index(truth.well), truth.site)
    seconds = generator(options.seed, Stream.TIMING, *place).gamma(2.0, 1.5, len(MODULES)).round(2)
    row: Row = {}
    for number, (module, duration) in enumerate(
        zip(MODULES, seconds.tolist(), strict=True), start=1
    ):
        row |= {
            f"ModuleError_{number:02d}{module}": 0,
            f"ExecutionTime_{number:02d}{module}": duration,
        }
    return row


def _quality(pixels: NDArray[np.uint16], name: str) -> Row:
    """MeasureImageQuality's plain statistics of one raw image, intensities 0 to 1."""
    image = pixels / float(MAX_INTENSITY)
    mean = float(image.mean())
    measured = {
        "FocusScore": float(image.var()) / mean if mean > 0 else 0.0,
        "MaxIntensity": float(image.max()),
        "MeanIntensity": mean,
        "MedianIntensity": float(np.median(pixels)) / MAX_INTENSITY,
        "MinIntensity": float(image.min()),
        "PercentMaximal": 100.0 * float(np.mean(pixels == pixels.max())),
        "PercentMinimal": 100.0 * float(np.mean(pixels == pixels.min())),
        "Scaling": MAX_INTENSITY,
        "StdIntensity": float(image.std()),
        "TotalArea": image.size,
        "TotalIntensity": float(image.sum()),
    }
    return {f"ImageQuality_{key}_{name}": value for key, value in measured.items()}
