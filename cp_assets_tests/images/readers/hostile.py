"""Making files wrong, and holding that they are refused; see the modules ``test_hostile_...``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tifffile

from cp_assets.errors import ImageReadError
from cp_assets.images.readers import Region
from cp_assets_tests.images.readers.files import pixels, read

CORNER = Region((0, 1), (0, 1), (0, 1), (0, 4), (0, 4))
HUGE = 1_000_000


def refused(path: Path, match: str, region: Region | None = None, **options: Any) -> None:
    """Hold that opening or reading a file ends in the one kind of error, which says so."""
    with pytest.raises(ImageReadError, match=match):
        read(path, region, **options)


def write_tiff(path: Path, image: Any = None, **options: Any) -> Path:
    """Write a TIFF without metadata, of 64 x 64 pixels where no image is given."""
    image = pixels("uint8", (64, 64)) if image is None else image
    tifffile.imwrite(path, image, metadata=None, **options)
    return path


def retag(path: Path, **values: Any) -> Path:
    """Overwrite tags of a TIFF's first page."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name, value in values.items():
            tiff.pages.first.tags[name].overwrite(value)
    return path
