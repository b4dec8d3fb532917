"""What image stores hold, read from their headers: `scan`, `scan_all`, `summarize`."""

from __future__ import annotations

from cp_assets.scanning.chunks import chunk_index_batches
from cp_assets.scanning.many import scan_all, summarize
from cp_assets.scanning.model import DatasetSummary, ImageAsset, ScanResult
from cp_assets.scanning.scan import scan
from cp_assets.scanning.tables import (
    CHUNK_INDEX,
    IMAGE_ASSETS,
    AssetKeys,
    image_assets_batches,
    own_keys,
)

__all__ = [
    "CHUNK_INDEX",
    "IMAGE_ASSETS",
    "AssetKeys",
    "DatasetSummary",
    "ImageAsset",
    "ScanResult",
    "chunk_index_batches",
    "image_assets_batches",
    "own_keys",
    "scan",
    "scan_all",
    "summarize",
]
