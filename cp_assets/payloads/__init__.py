"""OME-Arrow payloads: pixels as values of a column, built from arrays and read back as arrays."""

from __future__ import annotations

from cp_assets.payloads.building import chunk_shape, payload_array
from cp_assets.payloads.objects import from_ome_arrow, to_ome_arrow
from cp_assets.payloads.reading import (
    payload_planes,
    payload_stacks,
    payload_to_numpy,
)
from cp_assets.payloads.types import OME_ARROW_TYPE, PhysicalSize, Pixels

__all__ = [
    "OME_ARROW_TYPE",
    "PhysicalSize",
    "Pixels",
    "chunk_shape",
    "from_ome_arrow",
    "payload_array",
    "payload_planes",
    "payload_stacks",
    "payload_to_numpy",
    "to_ome_arrow",
]
