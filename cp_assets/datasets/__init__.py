"""Datasets: what lies where, who is who, and whether it changed."""

from __future__ import annotations

from cp_assets.datasets.identity import PlateKey, normalise_site, normalise_well
from cp_assets.datasets.layouts import (
    check_unique,
    dataset_from_folder,
    detect_layout,
    find_plate,
    find_plates,
    list_plates,
)
from cp_assets.datasets.model import (
    Border,
    Dataset,
    ImageOptions,
    Layout,
    MeasurementFolder,
    Measurements,
    PlateSources,
    TableFile,
)
from cp_assets.datasets.presets import SHIPPED, Preset, choose_preset

__all__ = [
    "SHIPPED",
    "Border",
    "Dataset",
    "ImageOptions",
    "Layout",
    "MeasurementFolder",
    "Measurements",
    "PlateKey",
    "PlateSources",
    "Preset",
    "TableFile",
    "check_unique",
    "choose_preset",
    "dataset_from_folder",
    "detect_layout",
    "find_plate",
    "find_plates",
    "list_plates",
    "normalise_site",
    "normalise_well",
]
