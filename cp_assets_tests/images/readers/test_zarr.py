from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numcodecs import BZ2, LZ4, Blosc, Delta, GZip, Shuffle, Zlib, Zstd
from zarr.codecs import BloscCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

from cp_assets.errors import ImageReadError
from cp_assets.images.readers import Region, open_image
from cp_assets_tests.images.readers.files import DTYPES, pixels, read, write_zarr

SHAPE = (2, 3, 2, 14, 16)
WINDOW = Region((1, 2), (1, 3), (0, 2), (3, 11), (5, 13))
CHUNKS = {"chunks": (1, 2, 2, 9, 10)}
SHARDS = {"chunks": (1, 2, 1, 7, 8), "shards": (2, 4, 2, 7, 16)}
V2: dict[str, Any] = {"zarr_format": 2, **CHUNKS}
V3: dict[str, Any] = {"zarr_format": 3, **CHUNKS}
LAYOUTS: dict[str, dict[str, Any]] = {
    "v2": V2,
    "v2-raw": V2 | {"compressors": None},
    "v2-order-f": V2 | {"order": "F", "compressors": Zstd()},
    "v2-nested": V2 | {"chunk_key_encoding": {"name": "v2", "separator": "/"}},
    "v2-blosc": V2 | {"compressors": Blosc("lz4")},
    "v2-zlib": V2 | {"compressors": Zlib()},
    "v2-gzip": V2 | {"compressors": GZip()},
    "v2-bz2": V2 | {"compressors": BZ2()},
    "v2-lz4": V2 | {"compressors": LZ4()},
    "v2-shuffle": V2 | {"filters": [Shuffle(1)], "compressors": Zstd()},
    "v3": V3,
    "v3-raw": V3 | {"compressors": None},
    "v3-blosc": V3 | {"compressors": BloscCodec(cname="zstd")},
    "v3-gzip": V3 | {"compressors": GzipCodec()},
    "v3-checksum": V3 | {"compressors": [ZstdCodec(), Crc32cCodec()]},
    "v3-inner-checksum": V3 | {"compressors": [Crc32cCodec(), ZstdCodec()]},
    "v3-transposed": V3 | {"filters": [TransposeCodec(order=(4, 3, 2, 1, 0))]},
    "v3-sharded": {"zarr_format": 3, **SHARDS},
    "v3-sharded-blosc": {"zarr_format": 3, **SHARDS, "compressors": BloscCodec()},
    "v3-sharded-raw": {"zarr_format": 3, **SHARDS, "compressors": None},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_zarr_is_read_as_written(tmp_path: Path, layout: str) -> None:
    for dtype in DTYPES:
        image = pixels(dtype, SHAPE)
        path = write_zarr(tmp_path / "a.zarr", image, **LAYOUTS[layout])
        header, got = read(path)
        np.testing.assert_array_equal(got, image)
        assert (header.format, header.dtype, header.array_path) == ("zarr", image.dtype, "")
        assert header.chunk_shape == LAYOUTS[layout]["chunks"]
        np.testing.assert_array_equal(read(path, WINDOW)[1], image[WINDOW.slices])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_of_the_other_byte_order_is_read(tmp_path: Path, zarr_format: int) -> None:
    image = pixels("uint16", (20, 30))
    options: dict[str, Any] = {"zarr_format": zarr_format, "chunks": (7, 8)}
    if zarr_format == 3:
        options["serializer"] = zarr.codecs.BytesCodec(endian="big")
    else:
        image = image.astype(">u2")
    _, got = read(write_zarr(tmp_path / "a.zarr", image, **options))
    np.testing.assert_array_equal(got[0, 0, 0], image)


def test_zarr_delta_filter_is_read(tmp_path: Path) -> None:
    image = pixels("int16", (20, 30))
    path = write_zarr(
        tmp_path / "a.zarr",
        image,
        zarr_format=2,
        chunks=(7, 8),
        filters=[Delta("<i2")],
        compressors=Zlib(),
    )
    np.testing.assert_array_equal(read(path)[1][0, 0, 0], image)


@pytest.mark.parametrize(
    ("shape", "place"),
    [((20, 30), (0, 0, 0)), ((4, 20, 30), (0, 0)), ((3, 4, 20, 30), (0,)), (SHAPE, ())],
    ids=["YX", "ZYX", "CZYX", "TCZYX"],
)
def test_axes_without_names_are_the_last_of_tczyx(
    tmp_path: Path, shape: tuple[int, ...], place: tuple[int, ...]
) -> None:
    image = pixels("uint8", shape)
    header, got = read(write_zarr(tmp_path / "a.zarr", image, chunks=shape))
    np.testing.assert_array_equal(got[place], image)
    assert header.axes == "TCZYX"[-len(shape) :]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_dimension_names_are_the_axes(tmp_path: Path, zarr_format: int) -> None:
    image = pixels("uint8", (20, 30, 3))
    names = ["y", "x", "channel"]
    options: dict[str, Any] = (
        {"dimension_names": names}
        if zarr_format == 3
        else {"attributes": {"_ARRAY_DIMENSIONS": names}}
    )
    path = write_zarr(
        tmp_path / "a.zarr", image, chunks=(8, 8, 2), zarr_format=zarr_format, **options
    )
    header, got = read(path)
    np.testing.assert_array_equal(got[0, :, 0], image.transpose(2, 0, 1))
    assert (header.axes, header.plane_axes) == ("YXC", "C")
    assert header.chunk_shape == (1, 2, 1, 8, 8)


@pytest.mark.parametrize(
    ("shape", "names", "match"),
    [
        ((30,), None, r"axes X of sizes \(30,\); an image has at least the axes Y and X"),
        ((1, 2, 3, 4, 5, 6), None, "at least the axes Y and X"),
        ((2, 9, 8), ["angle", "y", "x"], r"angle, Y, X of sizes \(2, 9, 8\)"),
        ((2, 9, 8), ["y", "y", "x"], "each once"),
        ((0, 9, 8), None, "holds no pixels"),
    ],
    ids=["1-D", "6-D", "angle", "twice", "empty"],
)
def test_arrays_that_are_no_images_are_refused(
    tmp_path: Path, shape: tuple[int, ...], names: Any, match: str
) -> None:
    chunks = tuple(max(1, size) for size in shape)
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=shape, dtype="uint8", chunks=chunks, dimension_names=names
    )
    array[...] = 1
    with pytest.raises(ImageReadError, match=match):
        open_image(tmp_path / "a.zarr")


def test_zero_dimensional_array_is_refused(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(), dtype="uint8")[...] = 1
    with pytest.raises(ImageReadError, match="at least the axes Y and X"):
        open_image(tmp_path / "a.zarr")


def test_absent_chunks_are_background_if_any_chunk_is_there(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(20, 30), chunks=(10, 10), dtype="uint8", fill_value=7
    )
    with pytest.raises(ImageReadError, match=r"chunk c/0/0 is not there, and nor is any other"):
        read(tmp_path / "a.zarr")
    array[:10, :10] = 3
    background = Region((0, 1), (0, 1), (0, 1), (12, 20), (12, 30))
    assert (read(tmp_path / "a.zarr", background)[1] == 7).all()
    np.testing.assert_array_equal(read(tmp_path / "a.zarr")[1][0, 0, 0], array[...])


def test_absent_chunks_without_fill_value_are_refused(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=(20, 30),
        chunks=(10, 10),
        dtype="uint8",
        zarr_format=2,
        fill_value=None,
    )
    array[:10, :10] = 3
    text = (tmp_path / "a.zarr" / ".zarray").read_text()
    assert '"fill_value": null' in text
    with pytest.raises(ImageReadError, match=r"chunk 0\.1 is not there, .* no fill value"):
        read(tmp_path / "a.zarr")


def test_array_in_a_plain_group_is_found(tmp_path: Path) -> None:
    image = pixels("uint8", (20, 30))
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("pixels", data=image)
    header, got = read(tmp_path / "a.zarr")
    np.testing.assert_array_equal(got[0, 0, 0], image)
    assert (header.path, header.array_path) == (tmp_path / "a.zarr", "pixels")
    group.create_array("labels", data=image)
    with pytest.raises(ImageReadError, match=r"a group of labels, pixels \(2\); name one image"):
        open_image(tmp_path / "a.zarr")
    assert read(tmp_path / "a.zarr" / "labels")[0].array_path == "labels"


def test_chunks_that_together_pass_the_limit_are_read_one_by_one(tmp_path: Path) -> None:
    image = pixels("uint16", (20, 30))
    path = write_zarr(tmp_path / "a.zarr", image, chunks=(8, 7))
    region = Region((0, 1), (0, 1), (0, 1), (6, 18), (5, 29))
    _, got = read(path, region, limit=2 * 12 * 24)
    np.testing.assert_array_equal(got[0, 0, 0], image[6:18, 5:29])


def test_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match=r"a folder without \.zarray, \.zgroup or zarr\.json"):
        open_image(tmp_path)
