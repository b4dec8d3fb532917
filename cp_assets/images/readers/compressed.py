"""Compressed bytes of chunks, strips and tiles: what a decompressor may be handed, and how much.

The libraries trust some of what these bytes say of themselves, and would leave their buffers when
it lies: then pixels are whatever lay in memory, or the process ends. So it is checked before.

JPEG, JPEG 2000 and WebP hold no checksum, and their decoders fill what is missing with what is
likely: a tile that was zeroed halfway is decoded in silence. LZW, PackBits, LZ4 and Blosc have no
checksum either, but the number of their pixels tells most faults; the others have one.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

import imagecodecs
import numpy as np

_BLOSC = struct.Struct("<4B3I")  # version, of its codec, flags, item size; decoded, block, stored
_BLOSC_VERSION = 2
_LZ4 = struct.Struct("<I")  # what numcodecs puts before LZ4: bytes decoded
_SMALLEST = {"blosc": _BLOSC.size, "gzip": 18, "lz4": _LZ4.size + 1}

_CLEAR, _END = 256, 257
_LZW_WIDTHS = np.repeat(np.arange(9, 13, dtype=np.uint32), (254, 512, 1024, 2306))
_LZW_ENDS = np.cumsum(_LZW_WIDTHS, dtype=np.int64)
_LZW_STARTS = _LZW_ENDS - _LZW_WIDTHS
_LZW_MASKS = np.left_shift(np.uint32(1), _LZW_WIDTHS) - np.uint32(1)
_LZW_RUN_BYTES = int(_LZW_STARTS[-1]) // 8 + 5
_LZW_SHORTEST_RUN = 64
_LZW_FREE_RUNS = 64


def decompress(name: str, data: bytes, size: int) -> bytes:
    """Decompress a chunk of Zarr, whose own codecs decode as much as a chunk claims to hold.

    Parameters
    ----------
    name
        blosc, bz2, gzip, lz4, zlib or zstd, as numcodecs writes them.
    size
        Bytes that it must decode to.

    Raises
    ------
    ValueError
        If it decodes to more or less, or says of itself what is not so.
    RuntimeError
        If its library cannot decode it.
    """
    if len(data) < _SMALLEST.get(name, 1):
        raise ValueError(f"{len(data)} bytes are no chunk of {name}")
    match name:
        case "blosc":
            _check_blosc(data, size)
            decoded = imagecodecs.blosc_decode(data, numthreads=1, out=size)
        case "lz4":
            (claimed,) = _LZ4.unpack_from(data)
            _expect("decoded bytes", claimed, size)
            decoded = imagecodecs.lz4_decode(data, header=True, out=size)
        case _:
            # One byte of room, as some stop in silence where the room ends.
            decoded = getattr(imagecodecs, f"{name}_decode")(data, out=size + 1)
    _expect("decoded bytes", len(decoded), size)
    return bytes(decoded)


def _expect(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise ValueError(f"{found:,} {what}, expected {expected:,}")


def _check_blosc(data: bytes, size: int) -> None:
    """Check the header of Blosc 1, in which the library believes."""
    version, _, _, item, decoded, block, stored = _BLOSC.unpack_from(data)
    _expect("as the version of Blosc", version, _BLOSC_VERSION)
    _expect("stored bytes", len(data), stored)
    _expect("decoded bytes", decoded, size)
    # The library leaves the end of a block as it finds it if items do not fill the block.
    if not (item and 0 < block <= max(size, 1)) or (block > item and block % item):
        raise ValueError(f"Blosc blocks of {block:,} bytes, items of {item}, in {size:,} bytes")


def check_lzw(data: bytes) -> None:
    """Refuse a strip or tile of LZW that would make imagecodecs read from anywhere in memory.

    The first code after each one that clears the table must be a byte; imagecodecs looks any other
    up in the table, in which nothing is. Every other wrong code it finds by itself.

    Parameters
    ----------
    data
        Codes of 9 to 12 bits, highest bit first, as TIFF 6.0 has them.

    Raises
    ------
    ValueError
        If there is such a code, or the bits are in the order of TIFF 5.0.
    """
    if data[:1] == b"\0":
        raise ValueError("LZW in the order of bits of TIFF 5.0, which is not read")
    bits, position = 8 * len(data), 9
    runs_left = _LZW_FREE_RUNS + len(data) // _LZW_SHORTEST_RUN
    while position + 9 <= bits:
        codes = _lzw_run(data, position)
        stops = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        runs_left -= 1
        if codes[0] > _END or not runs_left:
            fault = "starts with a code of no byte" if runs_left else "is cleared all the time"
            raise ValueError(f"the table of LZW {fault}")
        if not stops.size or codes[stops[0]] == _END:
            return
        position += int(_LZW_ENDS[stops[0]])


def _lzw_run(data: bytes, position: int) -> Any:
    """Give the codes from a bit on, uint32, as many as one table can have and the data hold."""
    first, phase = divmod(position, 8)
    run = np.frombuffer(data[first : first + _LZW_RUN_BYTES] + bytes(2), np.uint8).astype(np.uint32)
    words = run[:-2] << 16 | run[1:-1] << 8 | run[2:]
    count = int(np.searchsorted(_LZW_ENDS, 8 * len(data) - position, side="right"))
    at, shifts = _lzw_places(phase)
    return (words[at[:count]] >> shifts[:count]) & _LZW_MASKS[:count]


@cache
def _lzw_places(phase: int) -> tuple[Any, Any]:
    """First byte of each code of a table, and its shift in three bytes, if it starts at a bit."""
    starts = _LZW_STARTS + phase
    return starts >> 3, (24 - (starts & 7)).astype(np.uint32) - _LZW_WIDTHS
