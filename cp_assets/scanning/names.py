"""What a store is called without its folder and its ending."""

from __future__ import annotations

import re

IMAGE_ENDINGS = (".tif", ".tiff", ".png")
"""Of files that a folder is searched for, in lower case."""

ZARR_ENDING = ".zarr"

_ENDING = re.compile(r"((\.ome)?\.(zarr|tiff?)|\.png)$", re.IGNORECASE)


def stem_of(uri: str) -> str:
    """Name of a store without its ending: the image id of its first image."""
    return _ENDING.sub("", uri.rstrip("/").rpartition("/")[2])
