"""Compressed bytes that lie are an error, and never foreign memory or the end of the process."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numcodecs
import numpy as np
import pytest
import tifffile
from numcodecs import Blosc, Delta
from PIL import Image
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from cp_assets.errors import ImageReadError
from cp_assets.images.readers.compressed import check_lzw, decompress
from cp_assets_tests.images.readers.files import pixels, read, write_zarr

SIZE = 2 * 32 * 32
COMPRESSORS = ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
LAYOUTS: dict[str, dict[str, Any]] = {
    "v2": {"zarr_format": 2},
    "v2-delta": {"zarr_format": 2, "filters": [Delta("<u2", "<i4")]},
    "v3": {"zarr_format": 3},
    "v3-sharded": {"zarr_format": 3, "shards": (32, 32)},
}


def _blosc(layout: str, compressor: Any = "lz4") -> dict[str, Any]:
    codec = Blosc(compressor) if layout.startswith("v2") else BloscCodec(cname=compressor)
    return {"chunks": (16, 16), "compressors": codec, **LAYOUTS[layout]}


def _chunk(store: Path) -> Path:
    return store / "0.0" if (store / "0.0").exists() else store / "c" / "0" / "0"


def _codes(*codes: int) -> bytes:
    bits = "".join(f"{code:09b}" for code in codes)
    return bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_blosc_is_read_as_written(tmp_path: Path, layout: str, compressor: str) -> None:
    image = pixels("uint16", (32, 32))
    path = write_zarr(tmp_path / "a.zarr", image, **_blosc(layout, compressor))
    np.testing.assert_array_equal(read(path)[1][0, 0, 0], image)


@pytest.mark.parametrize("layout", ["v2", "v2-delta", "v3"])
@pytest.mark.parametrize("cut", [1, 30, 100])
def test_blosc_chunk_that_is_truncated(tmp_path: Path, layout: str, cut: int) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint16", (32, 32)), **_blosc(layout))
    _chunk(path).write_bytes(_chunk(path).read_bytes()[:-cut])
    with pytest.raises(ImageReadError, match=r"stored bytes, expected"):
        read(path)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("offset", "value"), [(4, 2**30), (4, 16), (8, 0), (8, 2**30), (8, 129), (12, 2**20), (0, 7)]
)
def test_blosc_header_that_lies(tmp_path: Path, layout: str, offset: int, value: int) -> None:
    path = write_zarr(tmp_path / "a.zarr", pixels("uint16", (32, 32)), **_blosc(layout))
    data = bytearray(_chunk(path).read_bytes())
    if offset:
        struct.pack_into("<I", data, offset, value)
    else:
        data[0] = value
    _chunk(path).write_bytes(data)
    with pytest.raises(ImageReadError, match=r"expected|Blosc blocks of"):
        read(path)


def test_blosc_chunk_that_says_it_is_a_copy_of_far_more(tmp_path: Path) -> None:
    path = write_zarr(
        tmp_path / "a.zarr", pixels("uint16", (4096, 4096)), compressors=BloscCodec(cname="lz4")
    )
    for file in (path / "c").rglob("*"):
        if file.is_file():
            size = 2 * 4096 * 4096
            head = struct.pack("<4B3I", 2, 1, 3, 2, size, size, size + 16)
            file.write_bytes(head + bytes(16))
    with pytest.raises(ImageReadError, match="expected"):
        read(path)


@pytest.mark.parametrize("name", ["blosc", "bz2", "gzip", "lz4", "zlib", "zstd"])
def test_chunk_of_any_length_below_its_own_is_an_error(name: str) -> None:
    """Except for an end that holds nothing but a checksum, which bzip2 does not miss."""
    image = np.arange(SIZE // 2, dtype=np.uint16) // 7
    data = bytes(numcodecs.get_codec({"id": name}).encode(image))
    assert decompress(name, data, SIZE) == image.tobytes()
    for length in range(len(data) - (10 if name == "bz2" else 0)):
        with pytest.raises((ValueError, RuntimeError)):
            decompress(name, data[:length], SIZE)


@pytest.mark.parametrize("name", ["blosc", "bz2", "gzip", "lz4", "zlib", "zstd"])
@pytest.mark.parametrize("more", [-2, 2])
def test_chunk_of_more_or_fewer_pixels_is_an_error(name: str, more: int) -> None:
    data = bytes(numcodecs.get_codec({"id": name}).encode(bytes(SIZE + more)))
    with pytest.raises((ValueError, RuntimeError)):
        decompress(name, data, SIZE)


def test_lz4_header_that_lies() -> None:
    data = bytearray(numcodecs.LZ4().encode(bytes(SIZE)))
    struct.pack_into("<I", data, 0, SIZE + 1)
    with pytest.raises(ValueError, match="2,049 decoded bytes, expected 2,048"):
        decompress("lz4", bytes(data), SIZE)


def test_zarr_of_two_compressors_is_refused(tmp_path: Path) -> None:
    image = pixels("uint16", (32, 32))
    path = write_zarr(tmp_path / "a.zarr", image, compressors=[GzipCodec(), ZstdCodec()])
    with pytest.raises(ImageReadError, match="codecs gzip and zstd one after another"):
        read(path)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("kind", ["noise", "flat", "steps"])
def test_lzw_that_is_sound_passes(tmp_path: Path, dtype: str, kind: str) -> None:
    noise = np.random.default_rng(1).integers(0, 250, (200, 300))
    image = {"noise": noise, "flat": noise * 0, "steps": noise // 100}[kind].astype(dtype)
    check_lzw(bytes(imagecodecs.lzw_encode(image.tobytes())))
    tifffile.imwrite(tmp_path / "a.tif", image, compression="lzw", predictor=True)
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[1][0, 0, 0], image)
    Image.fromarray(image).save(tmp_path / "a.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[1][0, 0, 0], image)


@pytest.mark.parametrize("code", [258, 300, 511])
def test_lzw_whose_table_starts_with_no_byte(tmp_path: Path, code: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels("uint8", (64, 64)), compression="lzw")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        (offset,) = tiff.pages.first.dataoffsets
    for codes in (_codes(256, code, 1, 2, 257), _codes(256, 5, 258, 6, 256, 256, code, 7, 257)):
        with (tmp_path / "a.tif").open("r+b") as file:
            file.seek(offset)
            file.write(codes)
        with pytest.raises(ImageReadError, match="table of LZW starts with a code of no byte"):
            read(tmp_path / "a.tif")


def test_lzw_behind_a_table_of_each_width() -> None:
    """The codes of a later table are found where imagecodecs reads them."""
    noise = np.random.default_rng(1).bytes(20_000)
    data = bytes(imagecodecs.lzw_encode(noise))
    check_lzw(data)
    bits = "".join(f"{byte:08b}" for byte in data)
    widths = [9] * 254 + [10] * 512 + [11] * 1024 + [12] * 2400
    at = 9
    for width in widths:
        code = int(bits[at : at + width], 2)
        at += width
        if code == 256:
            break
    else:
        pytest.fail("no second table")
    bad = bits[:at] + f"{300:09b}" + bits[at + 9 :]
    with pytest.raises(ValueError, match="starts with a code of no byte"):
        check_lzw(int(bad, 2).to_bytes(len(data), "big"))


def test_lzw_that_clears_its_table_all_the_time() -> None:
    with pytest.raises(ValueError, match="is cleared all the time"):
        check_lzw(_codes(*[256] * 80_000))


def test_lzw_of_the_old_order_of_bits() -> None:
    with pytest.raises(ValueError, match=r"TIFF 5\.0"):
        check_lzw(b"\x00\x01\x02")
