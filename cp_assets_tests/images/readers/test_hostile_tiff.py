"""TIFF files that are wrong, by accident or on purpose."""

from __future__ import annotations

import logging
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from cp_assets.errors import ImageReadError
from cp_assets.images.readers import Region, open_image
from cp_assets_tests.images.readers.files import pixels, read
from cp_assets_tests.images.readers.hostile import CORNER, HUGE, refused, retag, write_tiff

pytestmark = pytest.mark.usefixtures("little_memory")


@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_tiff_header_that_claims_a_million_squared(tmp_path: Path, tile: Any) -> None:
    path = write_tiff(tmp_path / "a.tif", tile=tile, compression="zlib")
    retag(path, ImageWidth=HUGE, ImageLength=HUGE)
    with open_image(path) as reader:
        assert reader.header.nbytes == HUGE**2
    refused(path, "more than the 4,294,967,296 that one read may take")
    refused(path, "never written|claims to decode|cannot be decoded|more than", CORNER)


def test_tiff_strip_that_claims_a_million_squared(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", compression="zlib", rowsperstrip=64)
    retag(path, ImageWidth=HUGE, ImageLength=HUGE, RowsPerStrip=HUGE)
    refused(path, r"a strip or tile decodes to 1,000,000,000,000 bytes", CORNER)


def test_tiff_of_many_samples_counts_them_all(tmp_path: Path) -> None:
    image = pixels("uint8", (64, 64, 100))
    path = write_tiff(tmp_path / "a.tif", image, photometric="minisblack", planarconfig="contig")
    one = Region((0, 1), (7, 8), (0, 1), (0, 64), (0, 64))
    np.testing.assert_array_equal(read(path, one)[1][0, 0, 0], image[..., 7])
    refused(path, "a window of a page decodes to 409,600 bytes", one, limit=2**18)


def test_tiff_that_claims_a_billion_planes(tmp_path: Path) -> None:
    description = '{"shape": [1000000000, 4, 4]}'
    path = write_tiff(tmp_path / "a.tif", pixels("uint8", (4, 4)), description=description)
    refused(path, "claims to hold 1,000,000,000 planes; at most 262,144 are read")


def test_tiff_that_claims_planes_past_its_end(tmp_path: Path) -> None:
    description = '{"shape": [1000, 4, 4]}'
    path = write_tiff(tmp_path / "a.tif", pixels("uint8", (4, 4)), description=description)
    refused(path, "cannot be decoded")


def test_tiff_tile_that_claims_a_gigabyte(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", compression="zlib", tile=(64, 64))
    retag(path, TileWidth=32768, TileLength=32768)
    refused(path, "claims to decode to 1,073,741,824 bytes from")


def test_tiff_deflate_bomb_stops_at_the_size_of_its_tile(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", compression="zlib", tile=(64, 64))
    compressor = zlib.compressobj(1)
    bomb = b"".join(compressor.compress(bytes(2**24)) for _ in range(8)) + compressor.flush()
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(bomb)
    retag(path, TileOffsets=[size], TileByteCounts=[len(bomb)])
    refused(path, "cannot be decoded")


def test_tiff_tiles_that_share_their_bytes(tmp_path: Path) -> None:
    path = write_tiff(
        tmp_path / "a.tif", np.zeros((512, 512), "u1"), compression="zlib", tile=(16, 16)
    )
    with path.open("ab") as file:
        file.write(bytes(2**20))
    retag(path, TileOffsets=[1000] * 1024, TileByteCounts=[2**16 - 1] * 1024)
    refused(path, "overlap|end at byte")


@pytest.mark.parametrize("start", [1, 150])
def test_tiff_page_chain_that_loops(tmp_path: Path, start: int) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for _ in range(start + 3):
            writer.write(pixels("uint8", (4, 4)), contiguous=False, metadata=None)
    with tifffile.TiffFile(path) as tiff:
        first, last = tiff.pages[start - 1].offset, tiff.pages.next_page_offset
    with path.open("r+b") as file:
        file.seek(last)
        file.write(struct.pack("<I", first))
    refused(path, "leads back to an earlier one")


def test_tiff_page_past_the_end_of_the_file(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif")
    with tifffile.TiffFile(path) as tiff:
        link = tiff.pages.next_page_offset
    with path.open("r+b") as file:
        file.seek(link)
        file.write(struct.pack("<I", 2**31))
    refused(path, "cannot be decoded")


def test_tiff_first_page_past_the_end_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\x00" + struct.pack("<I", 2**31))
    refused(tmp_path / "a.tif", "its first page is not inside the file")


@pytest.mark.parametrize("tag", ["ImageWidth", "ImageLength"])
def test_tiff_page_without_pixels(tmp_path: Path, tag: str) -> None:
    refused(retag(write_tiff(tmp_path / "a.tif"), **{tag: 0}), "holds no pixels|cannot be decoded")


@pytest.mark.parametrize("compression", [None, "lzw"])
def test_tiff_strips_that_were_never_written(tmp_path: Path, compression: Any) -> None:
    path = write_tiff(tmp_path / "a.tif", tile=(16, 16), compression=compression)
    refused(retag(path, TileByteCounts=[0] * 16), "16 of its 16 strips or tiles were never written")


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_tiff_that_is_truncated(tmp_path: Path, compression: Any, tile: Any) -> None:
    image = pixels("uint16", (90, 90))
    path = write_tiff(tmp_path / "a.tif", image, compression=compression, tile=tile)
    os.truncate(path, path.stat().st_size - 1000)
    refused(path, r"a\.tif: strips or tiles end at byte [\d,]+ in a file of")


def test_tiff_strip_shorter_than_its_rows(tmp_path: Path) -> None:
    path = retag(write_tiff(tmp_path / "a.tif"), StripByteCounts=[64 * 63])
    refused(path, "hold 4,032 of 4,096 bytes")


def test_tiff_strips_of_no_rows(tmp_path: Path) -> None:
    path = retag(write_tiff(tmp_path / "a.tif"), RowsPerStrip=0)
    with pytest.raises(ImageReadError, match="its tiles or strips have 1x0x64 pixels"):
        open_image(path)


@pytest.mark.parametrize("tag", ["TileWidth", "TileLength"])
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_tiff_tiles_of_no_pixels(tmp_path: Path, tag: str, compression: Any) -> None:
    path = retag(write_tiff(tmp_path / "a.tif", tile=(16, 16), compression=compression), **{tag: 0})
    with pytest.raises(ImageReadError, match="its tiles or strips have"):
        open_image(path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"II*\x00" + struct.pack("<I", 0), "its first page is not inside the file"),
        (b"II*\x00" + struct.pack("<I", 2**31), "its first page is not inside the file"),
        (b"MM\x00*", "it ends inside one of its headers"),
        (b"II*\x00" + struct.pack("<IH", 8, 1) + b"\x00\x01", "corrupt"),
    ],
    ids=["none", "outside", "short", "half"],
)
def test_tiff_that_is_refused_says_why_and_nothing_else(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    content: bytes,
    match: str,
) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    refused(tmp_path / "a.tif", match)
    assert capfd.readouterr().err == ""
    assert not caplog.records


def test_log_of_tifffile_is_ours_at_debug_while_we_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\x00" + struct.pack("<I", 2**31))
    with caplog.at_level(logging.DEBUG):
        refused(tmp_path / "a.tif", "its first page")
    assert {record.levelname for record in caplog.records} == {"DEBUG"}
    assert "invalid offset to first page" in caplog.text
    caplog.clear()
    logging.getLogger("tifffile").warning("said to others")
    assert [record.name for record in caplog.records] == ["tifffile"]


@pytest.mark.parametrize("inner", ["jpeg", "png", "webp"])
def test_tiff_tile_that_is_a_larger_image(tmp_path: Path, inner: str) -> None:
    image = pixels("uint8", (64, 64, 3))
    path = write_tiff(
        tmp_path / "a.tif", image, photometric="rgb", compression=inner, tile=(64, 64)
    )
    retag(path, TileWidth=16, TileLength=16, ImageWidth=16, ImageLength=16)
    refused(path, "64x64 in a tile of 256")
