"""Datasets: what lies where, who is who, and whether it changed."""

from __future__ import annotations

from cp_assets.datasets.identity import PlateKey, normalise_site, normalise_well
from cp_assets.datasets.layouts import (
    check_unique,
    dataset_from_folder,
    detect_layout,
    find_plate,
    find_plates,
)
from cp_assets.datasets.model import (
    Border,
    Dataset,
    ImageOptions,
    Layout,
    MeasurementFolder,
    PlateSources,
)

__all__ = [
    "Border",
    "Dataset",
    "ImageOptions",
    "Layout",
    "MeasurementFolder",
    "PlateKey",
    "PlateSources",
    "check_unique",
    "dataset_from_folder",
    "detect_layout",
    "find_plate",
    "find_plates",
    "normalise_site",
    "normalise_well",
]
