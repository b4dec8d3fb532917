"""Cells.csv, Nuclei.csv and Cytoplasm.csv of one site."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cp_assets.sample.camera import MAX_INTENSITY
from cp_assets.sample.csv_text import table_bytes
from cp_assets.sample.intensity_features import intensity_features
from cp_assets.sample.object_pixels import ObjectPixels
from cp_assets.sample.options import CHANNELS
from cp_assets.sample.shape_features import shape_features
from cp_assets.sample.texture_features import texture_features

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cp_assets.sample.object_pixels import Columns
    from cp_assets.sample.segmentation import Labels
    from cp_assets.sample.truth import SiteTruth

IMAGE_NUMBER = 1
"""ImageNumber of every site: CellProfiler ran once a site, and counts from 1 each time."""


def object_tables(site: SiteTruth) -> dict[str, bytes]:
    """Measure one site; the files' contents by compartment."""
    images = dict(zip(CHANNELS, site.pixels / float(MAX_INTENSITY), strict=True))
    labels = {
        "Cells": site.labels.cells,
        "Nuclei": site.labels.nuclei,
        "Cytoplasm": site.labels.cytoplasm,
    }
    relations = _relations(site.labels)
    return {
        compartment: _as_csv(_features(image, images) | relations[compartment])
        for compartment, image in labels.items()
    }


def _features(labels: NDArray[np.uint16], images: Mapping[str, NDArray[np.float64]]) -> Columns:
    pixels, edges = ObjectPixels.of(labels), ObjectPixels.of_edges(labels)
    intensity = intensity_features(pixels, edges, images)
    return shape_features(labels, pixels) | intensity | texture_features(labels, images)


def _relations(labels: Labels) -> dict[str, Columns]:
    """Parents and children of each compartment's objects, as CellProfiler relates them."""
    parents = labels.parent_nucleus
    children = np.bincount(parents, minlength=labels.nucleus_count + 1)[1:]
    return {
        "Nuclei": {
            "Children_Cells_Count": children,
            "Children_Cytoplasm_Count": children,
            "Location_Center_Z": _zeros(labels.nucleus_count),
        },
        "Cells": {
            "Children_Cytoplasm_Count": np.ones_like(parents),
            "Location_Center_Z": _zeros(len(parents)),
            "Parent_Nuclei": parents,
        },
        "Cytoplasm": {"Parent_Cells": np.arange(1, len(parents) + 1), "Parent_Nuclei": parents},
    }


def _zeros(count: int) -> NDArray[np.int64]:
    return np.zeros(count, dtype=np.int64)


def _as_csv(columns: Columns) -> bytes:
    numbers = np.arange(1, len(columns["AreaShape_Area"]) + 1)
    columns = dict(sorted({**columns, "Number_Object_Number": numbers}.items()))
    keys = [[IMAGE_NUMBER] * len(numbers), numbers.tolist()]
    rows = zip(*keys, *(column.tolist() for column in columns.values()), strict=True)
    return table_bytes(["ImageNumber", "ObjectNumber", *columns], rows)
