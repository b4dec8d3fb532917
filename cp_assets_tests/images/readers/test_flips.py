"""A flipped byte gives pixels of the declared shape or an ImageReadError, never anything else."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from numcodecs import Blosc
from PIL import Image
from zarr.codecs import BloscCodec

from cp_assets_tests.images.readers.files import (
    Array,
    pixels,
    write_ome_set,
    write_ome_zarr,
    write_zarr,
)

FLIPS = 1000
MEMORY = 2**30


def _tiff(path: Path, image: Array, compression: str | None = None, ome: bool = False) -> Path:
    metadata = {"axes": "CYX"} if ome else None
    tile = (16, 16) if compression else None
    tifffile.imwrite(
        path, image, photometric="minisblack", compression=compression, tile=tile, metadata=metadata
    )
    return path


def _png(path: Path, image: Array) -> Path:
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(image[0])))
    return path


def _palette(path: Path, image: Array) -> Path:
    picture = Image.fromarray(image[0] % 16, "P")
    picture.putpalette(list(range(48)))
    picture.save(path, "png")
    return path


def _imagej(path: Path, image: Array) -> Path:
    tifffile.imwrite(path, image, imagej=True, metadata={"axes": "ZYX"})
    return path


def _zarr(path: Path, image: Array) -> Path:
    return write_zarr(path, image, zarr_format=2, compressors=Blosc("zstd"))


def _blosc(path: Path, image: Array) -> Path:
    return write_zarr(path, image, chunks=(1, 8, 8), compressors=BloscCodec(cname="lz4"))


def _sharded(path: Path, image: Array) -> Path:
    return write_zarr(path, image, chunks=(1, 8, 8), shards=(2, 16, 16))


def _ome_set(path: Path, image: Array) -> Path:
    path.mkdir()
    return write_ome_set(path, image)[0]


READERS: dict[str, list[Callable[[Path, Array], Path]]] = {
    "tiff": [
        _tiff,
        _imagej,
        *(partial(_tiff, compression=codec) for codec in ("lzw", "zlib", "packbits")),
    ],
    "ome-tiff": [partial(_tiff, ome=True), _ome_set],
    "png": [_png, _palette],
    "zarr": [_zarr, _blosc, _sharded, partial(write_ome_zarr, axes=list("cyx"))],
}


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_flipped_bytes_are_pixels_or_an_error(tmp_path: Path, reader: str) -> None:
    image = pixels("uint8", (2, 16, 16))
    paths = [write(tmp_path / f"{n}", image) for n, write in enumerate(READERS[reader])]
    program = [sys.executable, "-m", "cp_assets_tests.images.readers.flips"]
    done = subprocess.run(
        [*program, str(FLIPS), str(MEMORY), *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-2000:]}"
    outcomes = ast.literal_eval(done.stdout.splitlines()[-1])
    assert sum(outcomes.values()) == FLIPS
    assert outcomes["error"] > FLIPS // 20
    # Checksums of a PNG cover all of its bytes.
    assert (outcomes.get("pixels", 0) > FLIPS // 20) == (reader != "png")
