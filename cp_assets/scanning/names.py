"""What a store is called without its folder and its ending."""

from __future__ import annotations

_ENDINGS = (".ome.zarr", ".zarr", ".ome.tiff", ".ome.tif", ".tiff", ".tif", ".png")

IMAGE_ENDINGS = (".tif", ".tiff", ".png")
"""Of files that a folder is searched for, in lower case."""

ZARR_ENDING = ".zarr"


def stem_of(uri: str) -> str:
    """Name of a store without its ending: the image id of its first image."""
    name = uri.rstrip("/").rpartition("/")[2]
    lower = name.lower()
    ending = next((one for one in _ENDINGS if lower.endswith(one)), "")
    return name[: len(name) - len(ending)]
