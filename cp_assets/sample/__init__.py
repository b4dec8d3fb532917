"""A sample to try everything on: a Cell Painting prefix of simulated cells whose truth is known.

`write_sample` writes it, `site_truth` makes one site's pixels and segmentation anew. No microscope
and no CellProfiler is involved: the cells are drawn, the features are measured with scikit-image.
"""

from __future__ import annotations

from cp_assets.sample.layout import SampleLayout, Site
from cp_assets.sample.options import CHANNELS, PIXEL_SIZE_UM, SampleOptions
from cp_assets.sample.segmentation import Labels
from cp_assets.sample.truth import Box, CellTruth, SampleTruth, SiteTruth, site_truth
from cp_assets.sample.writing import write_sample

__all__ = [
    "CHANNELS",
    "PIXEL_SIZE_UM",
    "Box",
    "CellTruth",
    "Labels",
    "SampleLayout",
    "SampleOptions",
    "SampleTruth",
    "Site",
    "SiteTruth",
    "site_truth",
    "write_sample",
]
