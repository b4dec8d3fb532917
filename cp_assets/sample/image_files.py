"""Image files as bytes; equal pixels give equal bytes, for no file holds a time stamp."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from PIL import Image

from cp_assets.sample.object_pixels import outermost_pixels
from cp_assets.sample.options import PIXEL_SIZE_UM

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UM_PER_CM = 10_000.0
_DEFLATE_LEVEL = 3
"""Noise does not compress better at a higher level, only slower."""


def tiff_bytes(pixels: NDArray[np.uint16]) -> bytes:
    """TIFF of one uint16 (y, x) image, deflated, with its physical pixel size."""
    file = io.BytesIO()
    per_cm = _UM_PER_CM / PIXEL_SIZE_UM
    tifffile.imwrite(
        file,
        pixels,
        photometric="minisblack",
        compression="zlib",
        compressionargs={"level": _DEFLATE_LEVEL},
        predictor=True,
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
        software=False,
        metadata=None,
    )
    return file.getvalue()


def npy_bytes(values: NDArray[np.float64]) -> bytes:
    """NumPy file of an array."""
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def outline_bytes(labels: NDArray[np.uint16]) -> bytes:
    """PNG of the objects' outermost pixels, 255 on 0, 8-bit grey (y, x)."""
    outline = np.where(outermost_pixels(labels), np.uint8(255), np.uint8(0))
    file = io.BytesIO()
    Image.fromarray(outline).save(file, format="PNG")
    return file.getvalue()
