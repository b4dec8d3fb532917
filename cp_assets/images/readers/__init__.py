"""Readers of image files: TIFF, OME-TIFF, PNG, Zarr, OME-Zarr, each as T, C, Z, Y, X."""

from __future__ import annotations

from cp_assets.images.readers.image_file import ImageFile
from cp_assets.images.readers.model import ImageFormat, ImageHeader, ImageReader, Region, Shape5
from cp_assets.images.readers.opening import open_image
from cp_assets.payloads.types import PhysicalSize, Pixels

__all__ = [
    "ImageFile",
    "ImageFormat",
    "ImageHeader",
    "ImageReader",
    "PhysicalSize",
    "Pixels",
    "Region",
    "Shape5",
    "open_image",
]
