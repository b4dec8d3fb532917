"""PNG files that are wrong, by accident or on purpose."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from cp_assets.images.readers import open_image
from cp_assets_tests.images.readers.files import pixels
from cp_assets_tests.images.readers.hostile import CORNER, HUGE, refused

pytestmark = pytest.mark.usefixtures("little_memory")


def _png(path: Path, width: int, height: int, mode: str = "L") -> Path:
    Image.fromarray(pixels("uint8", (32, 32))).convert(mode).save(path)
    data = bytearray(path.read_bytes())
    struct.pack_into(">II", data, 16, width, height)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("mode", ["L", "P"])
def test_png_header_that_claims_a_million_squared(tmp_path: Path, mode: str) -> None:
    path = _png(tmp_path / "a.png", HUGE, HUGE, mode)
    with open_image(path) as reader:
        assert reader.header.nbytes == HUGE**2
    refused(path, "more than the 4,294,967,296 that one read may take")
    refused(path, "the image decodes to 1,000,000,000,000 bytes", CORNER)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_png_header_that_claims_a_gigabyte(tmp_path: Path, mode: str) -> None:
    refused(_png(tmp_path / "a.png", 32768, 32768, mode), "claims to decode to 1,073,741,824")


def test_png_without_pixels(tmp_path: Path) -> None:
    refused(_png(tmp_path / "a.png", 0, 32), "0x32 pixels")


def test_png_that_is_truncated(tmp_path: Path) -> None:
    Image.fromarray(pixels("uint8", (90, 90))).save(tmp_path / "a.png")
    os.truncate(tmp_path / "a.png", 2000)
    refused(tmp_path / "a.png", r"a\.png: cannot be decoded")


@pytest.mark.parametrize("mode", ["1", "P", "L", "I;16", "RGB"])
@pytest.mark.parametrize("damage", ["zeros", "flip", "half", "no-end"])
def test_png_that_is_damaged(tmp_path: Path, mode: str, damage: str) -> None:
    path = tmp_path / "a.png"
    image = pixels("uint16", (200, 300))
    grey = Image.fromarray(image if mode == "I;16" else image.astype("uint8") * 2)
    (grey if mode == "I;16" else grey.convert(mode)).save(path)
    data = path.read_bytes()
    half = len(data) // 2
    damaged = {
        "zeros": data[:half] + bytes(len(data) - half),
        "flip": data[:half] + bytes([data[half] ^ 255]) + data[half + 1 :],
        "half": data[:half],
        "no-end": data[:-12],
    }
    path.write_bytes(damaged[damage])
    refused(path, "cannot be decoded .*(checksum of its chunk|ends inside)")
