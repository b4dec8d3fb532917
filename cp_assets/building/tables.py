"""The tables of a warehouse, and how each is stored."""

from __future__ import annotations

from cp_assets.building.links import PROFILE_WITH_IMAGES
from cp_assets.building.rejected import REJECTED_ROWS
from cp_assets.images.tables import IMAGE_CROPS, SOURCE_IMAGES
from cp_assets.measurements.joined_columns import JOINED_PROFILES
from cp_assets.measurements.raw import RAW_MEASUREMENTS
from cp_assets.provenance.manifest import MANIFEST
from cp_assets.scanning.tables import CHUNK_INDEX, IMAGE_ASSETS

_ALL = (
    RAW_MEASUREMENTS,
    JOINED_PROFILES,
    IMAGE_ASSETS,
    CHUNK_INDEX,
    IMAGE_CROPS,
    SOURCE_IMAGES,
    PROFILE_WITH_IMAGES,
    REJECTED_ROWS,
    MANIFEST,
)

TABLES = {spec.name: spec for spec in _ALL}
"""``namespace.table`` -> its spec; the manifest, which is about the others, comes last."""
