"""PNG files: one plane, or its colour samples as channels."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
from PIL import Image

from cp_assets.errors import ImageReadError
from cp_assets.images.readers.guarding import GuardedReader, Watch, check_stored, decoding
from cp_assets.images.readers.model import ImageHeader
from cp_assets.payloads.memory import PIXEL_MEMORY

if TYPE_CHECKING:
    from cp_assets.images.readers.image_file import ImageFile
    from cp_assets.images.readers.model import Region
    from cp_assets.payloads.types import Pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_HEAD = struct.Struct(
    ">16x2I2B"
)  # signature, length and name of IHDR; width, height, depth, colour
_CHUNK = struct.Struct(">I4s")  # length and name; then its bytes, and their checksum
_CHECKSUM = struct.Struct(">I")
_GREY, _PALETTE = 0, 3
_SAMPLES = {_GREY: 1, 2: 3, _PALETTE: 1, 4: 2, 6: 4}
_BYTE_BITS = 8
_AXES = 2


class PngReader(GuardedReader):
    """A PNG file.

    Grey of 1 bit is bool, of 2, 4 and 8 bits uint8, of 16 bits uint16. A palette of greys gives its
    greys, another one the labels that it colours. Colours and transparency are channels.
    """

    def __init__(self, file: ImageFile, limit: int) -> None:
        path = file.path
        super().__init__(path, Watch(), limit)
        self._file = file
        self._watch.add(path)
        self.held_bytes = file.held_bytes
        with decoding(path, self._watch):
            width, height, depth, colour = _HEAD.unpack(file.head(_HEAD.size) or b"")
            self._stored = file.size
        if colour not in _SAMPLES or not width or not height:
            msg = f"image {path}: a PNG of {width}x{height} pixels, colour type {colour}; corrupt"
            raise ImageReadError(msg)
        self._library = depth >= _BYTE_BITS and colour != _PALETTE
        samples = _SAMPLES[colour]
        bits = 1 if colour == _GREY else _BYTE_BITS
        dtype = "bool" if depth == bits == 1 else "uint16" if depth > _BYTE_BITS else "uint8"
        self.header = ImageHeader(
            path=path,
            format="png",
            shape=(1, samples, 1, height, width),
            dtype=np.dtype(dtype),
            axes="YX" if samples == 1 else "YXS",
            samples=samples,
            channel_names=(None,) * samples,
        )

    def peak_bytes(self, region: Region | None = None) -> int:
        """Bound the memory of a read; see `ImageReader.peak_bytes`."""
        return super().peak_bytes(region) + self._stored

    def close(self) -> None:
        """Do nothing: the file is open only while it is read."""

    def _decode(self, region: Region) -> Pixels:
        header = self.header
        data = self._file.read_bytes()
        check_stored(header.path, "the image", header.nbytes, len(data), self._limit)
        _check_chunks(data)
        pixels = self._decoded(data) if self._library else _indexed(data)
        samples = pixels.reshape(*pixels.shape[:_AXES], -1)
        return np.moveaxis(samples, -1, 0)[None, :, None][region.slices]

    def _decoded(self, data: bytes) -> Pixels:
        _, samples, _, height, width = self.header.shape
        shape = (height, width) if samples == 1 else (height, width, samples)
        out = PIXEL_MEMORY.empty(shape, self.header.dtype)
        imagecodecs.png_decode(data, out=out)
        return out


def _check_chunks(data: bytes) -> None:
    """Check that all chunks are there and as they were written; Pillow reads on if they are not."""
    view, start, name = memoryview(data), len(SIGNATURE), b""
    while name != b"IEND":
        length, name = _CHUNK.unpack_from(data, start)
        end = start + _CHUNK.size + length
        (checksum,) = _CHECKSUM.unpack_from(data, end)
        if zlib.crc32(view[start + _CHECKSUM.size : end]) != checksum:
            raise ValueError(f"the checksum of its chunk {name!r} at byte {start:,} is wrong")
        start = end + _CHECKSUM.size


def _indexed(data: bytes) -> Pixels:
    """Decode a palette, or grey of less than a byte."""
    with Image.open(BytesIO(data), formats=["PNG"]) as image:
        labels = np.asarray(image)
        if image.mode != "P":
            return labels
        palette = np.asarray(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
    if (palette == palette[:, :1]).all():
        return np.asarray(palette[labels, 0])
    return labels
