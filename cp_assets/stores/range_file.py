"""An object as a seekable file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from cp_assets.stores.model import ObjectState, ObjectStore

BLOCK_BYTES = 4 * 2**20
"""Least bytes of a request: most files of a plate are one, and a request takes some 20 ms."""


class RangeFile(io.RawIOBase):
    """Reads an object by ranges, each of the version that was seen first.

    Keeps one block, so that small reads near each other are one request.

    Parameters
    ----------
    known
        The state that a listing gave; None to take the one that is there.
    """

    def __init__(self, store: ObjectStore, key: str, known: ObjectState | None) -> None:
        self._store = store
        self._key = key
        self._start = 0
        self._block = b""
        self._position = 0
        if known is None:
            self._block, known = store.read(key, 0, BLOCK_BYTES)
        self._state = known

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
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._state.size}
        self._position = max(0, base[whence] + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer, or less of it at the end of what one request brought."""
        view = memoryview(buffer).cast("B")
        if not view.nbytes or self._position >= self._state.size:
            return 0
        if not self._start <= self._position < self._start + len(self._block):
            stop = min(self._state.size, self._position + max(BLOCK_BYTES, view.nbytes))
            self._block, _ = self._store.read(
                self._key, self._position, stop, etag=self._state.etag
            )
            self._start = self._position
        offset = self._position - self._start
        part = self._block[offset : offset + view.nbytes]
        view[: len(part)] = part
        self._position += len(part)
        return len(part)
