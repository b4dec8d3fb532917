"""An object as a seekable file."""

from __future__ import annotations

import io
from collections import deque
from typing import TYPE_CHECKING

from cp_assets.stores.parts import PART_BYTES, read_range

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from cp_assets.stores.model import ObjectState, ObjectStore

_LEAST_BYTES = 2**20
"""Of a request: more than this takes longer than to ask for it."""

_MOST_BYTES = 2 * PART_BYTES

_SMALL_BYTES = 4 * 2**20
"""A file of up to this size is one request: most files of a plate are."""

_BLOCKS_KEPT = 2


class RangeFile(io.RawIOBase):
    """Reads an object by ranges, each of the version that was seen first.

    Reading on where a request ended doubles what the next one brings; to go elsewhere begins small
    again. The last two blocks are kept, since readers go from a directory to data and back.

    Parameters
    ----------
    held
        The state that must be read; None for the one that is there.
    """

    def __init__(self, store: ObjectStore, key: str, held: ObjectState | None) -> None:
        self._store = store
        self._key = key
        self._position = 0
        self._ahead = _LEAST_BYTES
        self._blocks: deque[tuple[int, bytes]] = deque(maxlen=_BLOCKS_KEPT)
        if held is None:
            first, held = store.read(key, 0, _SMALL_BYTES)
            self._blocks.append((0, first))
        self._held = held

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The next byte's place."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; costs nothing."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._held.size}
        self._position = max(0, base[whence] + offset)
        return self._position

    def readall(self) -> bytes:
        """Read the rest, large ones in parts side by side."""
        rest = self._take(self._held.size - self._position)
        while self._position < self._held.size:
            rest += self._take(self._held.size - self._position)
        return rest

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer, or less of it at the end of a block."""
        view = memoryview(buffer).cast("B")
        part = self._take(view.nbytes)
        view[: len(part)] = part
        return len(part)

    def _take(self, wanted: int) -> bytes:
        """The next bytes, some of those wanted; empty at the end."""
        if wanted <= 0 or self._position >= self._held.size:
            return b""
        start, block = self._block(wanted)
        offset = self._position - start
        part = block[offset : offset + wanted]
        self._position += len(part)
        return part

    def _block(self, wanted: int) -> tuple[int, bytes]:
        """The block that holds the next byte, asked for if need be."""
        for start, block in self._blocks:
            if start <= self._position < start + len(block):
                return start, block
        begin, stop = 0, self._held.size
        if stop > _SMALL_BYTES:
            begin = self._position
            stop = min(stop, begin + max(wanted, self._next_bytes()))
        fetched = read_range(self._store, self._key, self._held, begin, stop)
        found = begin, fetched
        # What was asked for in one piece is not read again.
        if len(fetched) <= _MOST_BYTES:
            self._blocks.append(found)
        return found

    def _next_bytes(self) -> int:
        reads_on = any(start + len(block) == self._position for start, block in self._blocks)
        self._ahead = min(2 * self._ahead, _MOST_BYTES) if reads_on else _LEAST_BYTES
        return self._ahead
