"""The commonest TIFFs of all by a read or two: grey pages without anything that needs thought.

tifffile takes ten times as long to open such a file. What is read here gives what tifffile would
give; whatever is not known to be harmless - a tag, a type of value, a word in a description - is
left to tifffile, and so is every damaged file.
"""

from __future__ import annotations

import json
import os
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cp_assets.images.readers.guarding import MAX_PLANES
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cp_assets.stores import Place

_HEAD_BYTES = 4096
_OBJECT_HEAD_BYTES = 2**16
_MOST_REQUESTS = 4
_DIRECTORY_BYTES = 1024
_LARGEST_DESCRIPTION = 16 * 2**20

_SHORT, _LONG, _ASCII = 3, 4, 2
_INLINE = 4  # bytes that stand in a tag itself
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_DESCRIPTION, _SAMPLES, _ROWS, _PLANAR, _SOFTWARE = 270, 277, 278, 284, 305
_TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_COUNTS = 322, 323, 324, 325
_STRIP_OFFSETS, _STRIP_COUNTS, _SUBFILE, _FORMAT = 273, 279, 254, 339
_TILED = frozenset({_TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_COUNTS})
_STRIPS = frozenset({_STRIP_OFFSETS, _STRIP_COUNTS})
_NUMBERS = frozenset(
    {
        *(_SUBFILE, _WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _ROWS, _PLANAR),
        *(_TILE_WIDTH, _TILE_LENGTH, _FORMAT),
    }
)
# Fill order, make, model, orientation, lowest and highest value, resolution, page number, date,
# artist, computer, predictor, copyright.
_HARMLESS = frozenset({266, 271, 272, 274, 280, 281, 282, 283, 296, 297, 306, 315, 316, 317, 33432})
_KNOWN = _NUMBERS | _TILED | _STRIPS | _HARMLESS | {_DESCRIPTION, _SOFTWARE}
_NEEDED = frozenset({_WIDTH, _LENGTH, _BITS, _PHOTOMETRIC})
_DTYPES = {
    **{(1, bits): np.dtype(f"uint{bits}") for bits in (8, 16, 32)},
    **{(2, bits): np.dtype(f"int{bits}") for bits in (8, 16, 32)},
    **{(3, bits): np.dtype(f"float{bits}") for bits in (16, 32, 64)},
}
_COMPRESSIONS = frozenset({1, 5, 8, 32773, 32946, 50000})
_GREY, _PLANARS = frozenset({0, 1}), frozenset({1, 2})
# Where one stands in a description or in the name of the software, the file may hold more.
_SPEAKING = re.compile(
    rb"ImageJ=|SCIFIO=|shape|OME>|</scn>|Aperio |state\.|scanimage\.SI|</DataObject>|SI\.|Philips"
    rb"|PerkinElmer-QPI|ISS Vista|IndicaLabs"
).search


@dataclass(frozen=True, slots=True)
class PlainPage:
    """A grey page, with the names that `tifffile.TiffPage` has.

    Attributes
    ----------
    shaped
        Samples, depth, length, width, samples.
    description
        Up to its first null byte.
    """

    shaped: tuple[int, int, int, int, int]
    dtype: np.dtype[np.generic]
    imagelength: int
    imagewidth: int
    rowsperstrip: int
    tilelength: int
    tilewidth: int
    description: bytes = b""
    samplesperpixel: int = 1
    imagedepth: int = 1
    tiledepth: int = 1

    @property
    def is_tiled(self) -> bool:
        """Whether it is divided into tiles."""
        return self.tilewidth > 0

    @property
    def is_ome(self) -> bool:
        """Whether its description is OME-XML, as tifffile tells it."""
        return self.description[-10:].strip().endswith(b"OME>")

    @property
    def is_silent(self) -> bool:
        """Whether its description says nothing of what the file holds."""
        if not _SPEAKING(self.description):
            return True
        if not self.description.startswith(b'{"shape":'):
            return False
        # What tifffile writes of an image of one page.
        shape = [self.imagelength, self.imagewidth]
        return self.description == json.dumps({"shape": shape}).encode()


def read_plain_pages(file: Place) -> list[PlainPage] | None:
    """The pages of a TIFF if all are plain; None for every other file, and for none.

    Of an object some KiB are read, in few requests.

    Raises
    ------
    StoreError, InputChangedError
        If its object store cannot be read.
    """
    try:
        if isinstance(file, ObjectPath):
            return _pages(_Reader(_ranges_of(file), _OBJECT_HEAD_BYTES))
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError, struct.error):
        return None
    try:
        return _pages(_Reader(lambda offset, size: os.pread(descriptor, size, offset), _HEAD_BYTES))
    except (OSError, ValueError, struct.error):
        return None
    finally:
        os.close(descriptor)


def _ranges_of(path: ObjectPath) -> Callable[[int, int], bytes]:
    """Read bytes of an object, a few times."""
    left = iter(range(_MOST_REQUESTS))

    def fetch(offset: int, size: int) -> bytes:
        if next(left, None) is None:
            raise ValueError("pages all over the object")
        return path.read_range(offset, offset + size)

    return fetch


class _Reader:
    """Bytes of a file; its first ones are read once."""

    def __init__(self, fetch: Callable[[int, int], bytes], head_bytes: int) -> None:
        self._fetch = fetch
        self.head = fetch(0, head_bytes)

    def read(self, offset: int, size: int) -> bytes:
        if offset + size <= len(self.head):
            return self.head[offset : offset + size]
        return self._fetch(offset, size)


def _pages(reader: _Reader) -> list[PlainPage] | None:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(reader.head[:4])
    if order is None:
        return None
    pages: list[PlainPage] = []
    for page in _directories(reader, order):
        if page is None or (pages and _form(page) != _form(pages[0])):
            return None
        pages.append(page)
    return pages or None


def _form(page: PlainPage) -> tuple[object, ...]:
    return page.shaped, page.dtype, page.tilelength, page.tilewidth


def _directories(reader: _Reader, order: str) -> Iterator[PlainPage | None]:
    """Each page; None where it is not plain, or leads back to one that was seen."""
    (offset,) = struct.unpack_from(f"{order}I", reader.head, 4)
    seen: set[int] = set()
    while offset:
        if offset in seen or len(seen) >= MAX_PLANES:
            yield None
            return
        seen.add(offset)
        data = reader.read(offset, _DIRECTORY_BYTES)
        (tags,) = struct.unpack_from(f"{order}H", data)
        entries = struct.unpack_from(f"{order}{tags * 'HHII'}I", data, 2)
        yield _page(reader, order, entries)
        offset = entries[-1]


def _page(reader: _Reader, order: str, entries: tuple[int, ...]) -> PlainPage | None:
    codes = entries[:-1:4]
    if not _KNOWN.issuperset(codes) or any(map(int.__ge__, codes, codes[1:])):
        return None
    values: dict[int, int] = {}
    texts: dict[int, bytes] = {}
    shift = 16 if order == ">" else 0
    for code, kind, count, value in zip(*[iter(entries[:-1])] * 4, strict=True):
        if code in _NUMBERS:
            if count != 1 or kind not in (_SHORT, _LONG):
                return None
            values[code] = value if kind == _LONG else (value >> shift) & 0xFFFF
        elif code in (_DESCRIPTION, _SOFTWARE):
            if kind != _ASCII or count > _LARGEST_DESCRIPTION:
                return None
            raw = reader.read(value, count) if count > _INLINE else struct.pack(f"{order}I", value)
            if len(raw) < count:
                return None
            texts[code] = raw[:count].partition(b"\0")[0]
    if _SPEAKING(texts.get(_SOFTWARE, b"")):
        return None
    return _plain(values, set(codes), texts.get(_DESCRIPTION, b""))


def _plain(values: dict[int, int], codes: set[int], description: bytes) -> PlainPage | None:
    """Make a page of its tags, if they are those of a grey one."""
    tiled = not _TILED.isdisjoint(codes)
    segments, others = (_TILED, _STRIPS) if tiled else (_STRIPS, _TILED)
    if not (codes >= _NEEDED and codes >= segments and codes.isdisjoint(others)):
        return None
    get = values.get
    dtype = _DTYPES.get((get(_FORMAT, 1), values[_BITS]))
    width, length = values[_WIDTH], values[_LENGTH]
    rows, tile_length, tile_width = (get(code, 1) for code in (_ROWS, _TILE_LENGTH, _TILE_WIDTH))
    if (
        dtype is None
        or not (width and length and rows and tile_length and tile_width)
        or get(_COMPRESSION, 1) not in _COMPRESSIONS
        or get(_SUBFILE, 0) != 0
        or get(_SAMPLES, 1) != 1
        or values[_PHOTOMETRIC] not in _GREY
        or get(_PLANAR, 1) not in _PLANARS
    ):
        return None
    return PlainPage(
        shaped=(1, 1, length, width, 1),
        dtype=dtype,
        imagelength=length,
        imagewidth=width,
        rowsperstrip=0 if tiled else min(get(_ROWS, length), length),
        tilelength=get(_TILE_LENGTH, 0),
        tilewidth=get(_TILE_WIDTH, 0),
        description=description,
    )
