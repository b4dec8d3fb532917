"""Any window of any image is that part of the whole image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from cp_assets.images.readers import Region, open_image
from cp_assets_tests.images.readers.files import (
    Array,
    pixels,
    write_ome_set,
    write_ome_zarr,
    write_zarr,
)

SHAPE = (2, 3, 4, 37, 41)
RGB = (1, 3, 1, 37, 41)


def _tiff(folder: Path, image: Array, **options: Any) -> Path:
    path = folder / "a.ome.tif"
    metadata = {"axes": "TCZYX"}
    tifffile.imwrite(path, image, photometric="minisblack", metadata=metadata, **options)
    return path


def _rgb(folder: Path, image: Array, planar: Any, **options: Any) -> Path:
    data = image[0, :, 0] if planar == "separate" else image[0, :, 0].transpose(1, 2, 0)
    tifffile.imwrite(
        folder / "a.tif", data, photometric="rgb", planarconfig=planar, metadata=None, **options
    )
    return folder / "a.tif"


def _volume(folder: Path, image: Array) -> Path:
    options: Any = {"tile": (16, 16, 16), "volumetric": True, "photometric": "minisblack"}
    tifffile.imwrite(folder / "a.tif", image[0, 0], compression="lzw", **options)
    return folder / "a.tif"


def _png(folder: Path, image: Array) -> Path:
    samples = np.ascontiguousarray(image[0, :, 0].transpose(1, 2, 0))
    (folder / "a.png").write_bytes(imagecodecs.png_encode(samples))
    return folder / "a.png"


FORMATS: dict[str, tuple[tuple[int, ...], Callable[[Path, Array], Path]]] = {
    "tiff-raw": (SHAPE, _tiff),
    "tiff-strips": (SHAPE, lambda folder, image: _tiff(folder, image, rowsperstrip=5)),
    "tiff-lzw": (SHAPE, lambda f, image: _tiff(f, image, rowsperstrip=5, compression="lzw")),
    "tiff-tiles": (SHAPE, lambda folder, image: _tiff(folder, image, tile=(16, 32))),
    "tiff-deflate": (SHAPE, lambda f, image: _tiff(f, image, tile=(16, 16), compression="zlib")),
    "tiff-rgb-raw": (RGB, lambda f, image: _rgb(f, image, "contig")),
    "tiff-rgb": (RGB, lambda f, image: _rgb(f, image, "contig", compression="lzw")),
    "tiff-separate": (RGB, lambda f, image: _rgb(f, image, "separate", tile=(16, 16))),
    "tiff-separate-raw": (RGB, lambda f, image: _rgb(f, image, "separate")),
    "tiff-volume": ((1, 1, 21, 37, 41), _volume),
    "ome-set": ((3, 1, 1, 37, 41), lambda f, image: write_ome_set(f, image[:, 0, 0])[0]),
    "png": (RGB, _png),
    "zarr-2": (
        SHAPE,
        lambda f, image: write_zarr(f / "a", image, chunks=(1, 2, 3, 16, 17), zarr_format=2),
    ),
    "zarr-3": (SHAPE, lambda f, image: write_zarr(f / "a", image, chunks=(2, 1, 2, 37, 9))),
    "zarr-sharded": (
        SHAPE,
        lambda f, image: write_zarr(
            f / "a", image, chunks=(1, 1, 2, 8, 16), shards=(2, 3, 4, 16, 32)
        ),
    ),
    "ome-zarr": (SHAPE, lambda f, image: write_ome_zarr(f / "a", image, list("tczyx"), "0.5")),
}


@pytest.mark.parametrize("name", FORMATS)
def test_window_is_a_part_of_the_whole(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    shape, write = FORMATS[name]
    image = pixels("uint8", shape)
    path = write(tmp_path_factory.mktemp(name), image)

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        edges = [
            sorted(data.draw(st.tuples(st.integers(0, size), st.integers(0, size))))
            for size in shape
        ]
        edges = [
            (min(start, size - 1), max(stop, min(start, size - 1) + 1))
            for (start, stop), size in zip(edges, shape, strict=True)
        ]
        region = Region(*edges)
        got = reader.read(region)
        assert got.flags.c_contiguous
        np.testing.assert_array_equal(got, image[region.slices])

    with open_image(path) as reader:
        np.testing.assert_array_equal(reader.read(), image)
        check()
