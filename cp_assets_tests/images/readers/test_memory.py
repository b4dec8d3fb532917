"""What a read takes is never more than `peak_bytes`, and that is not far more than it takes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from numcodecs import Zlib
from PIL import Image
from zarr.codecs import BloscCodec

from cp_assets.images.readers import Region, open_image
from cp_assets.payloads.memory import PIXEL_MEMORY
from cp_assets_tests.images.readers.files import Array, pixels, write_zarr

IMAGE = pixels("uint16", (1200, 1000))
COLOURS = pixels("uint8", (1000, 900, 3))
WINDOW = Region((0, 1), (0, 1), (0, 1), (300, 500), (100, 900))
SPARE = 2**20


def _tiff(image: Array, **options: object) -> Callable[[Path], object]:
    return lambda path: tifffile.imwrite(path, image, **options)  # type: ignore[arg-type]


def _zarr(**options: object) -> Callable[[Path], object]:
    return lambda path: write_zarr(path, IMAGE, **options)


FILES: dict[str, Callable[[Path], object]] = {
    "tiff-raw": _tiff(IMAGE),
    "tiff-deflate-strip": _tiff(IMAGE, compression="zlib", rowsperstrip=1200, predictor=True),
    "tiff-lzw-strips": _tiff(IMAGE, compression="lzw", rowsperstrip=16),
    "tiff-big-endian": _tiff(IMAGE, compression="zlib", tile=(256, 256), byteorder=">"),
    "tiff-tiles": _tiff(IMAGE, compression="zstd", tile=(256, 256)),
    "tiff-packbits": _tiff(IMAGE, compression="packbits", rowsperstrip=1200),
    "tiff-pages": _tiff(np.stack([IMAGE, IMAGE + 1]), photometric="minisblack"),
    "tiff-colours": _tiff(COLOURS, compression="zlib", photometric="rgb", rowsperstrip=1000),
    "png": lambda path: path.write_bytes(imagecodecs.png_encode(IMAGE)),
    "png-colours": lambda path: path.write_bytes(imagecodecs.png_encode(COLOURS)),
    "png-mask": lambda path: Image.fromarray(IMAGE > 60).save(path, "png"),
    "zarr-one-chunk": _zarr(chunks=(1200, 1000)),
    "zarr-v2-blosc": _zarr(chunks=(200, 500), compressors=Zlib(), zarr_format=2, order="F"),
    "zarr-raw": _zarr(chunks=(1200, 1000), compressors=None),
    "zarr-chunks": _zarr(chunks=(100, 100), compressors=BloscCodec()),
    "zarr-shards": _zarr(chunks=(100, 100), shards=(600, 500)),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("region", [None, WINDOW], ids=["whole", "window"])
def test_peak_is_bounded(tmp_path: Path, name: str, region: Region | None) -> None:
    FILES[name](tmp_path / "a")
    with open_image(tmp_path / "a") as reader:
        reader.read(Region((0, 1), (0, 1), (0, 1), (0, 1), (0, 1)))
        bound = reader.peak_bytes(region)
        tracemalloc.start()
        try:
            pixels = reader.read(region)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert pixels.nbytes <= peak <= bound + SPARE
    assert bound <= 5 * peak + SPARE


@pytest.mark.parametrize(
    "name", ["tiff-raw", "tiff-lzw-strips", "tiff-tiles", "tiff-pages", "png", "png-colours"]
)
def test_pixels_take_the_memory_of_those_that_are_gone(tmp_path: Path, name: str) -> None:
    keep = PIXEL_MEMORY.empty(IMAGE.shape, IMAGE.dtype)
    FILES[name](tmp_path / "a")
    addresses = set()
    for _ in range(4):
        with open_image(tmp_path / "a") as reader:
            pixels = reader.read()
        assert not np.shares_memory(pixels, keep)
        addresses.add(pixels.__array_interface__["data"][0])
        del pixels
    assert len(addresses) == 1
