"""A file to read an image from: on a disk, in an object store, or fetched from there already."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from functools import cached_property
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tifffile import TiffFile

from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Callable

    from cp_assets.stores import Place

_RANGES_BYTES = 4 * 2**20
"""About what is kept of an object that is read by ranges."""


@dataclass(frozen=True)
class ImageFile:
    """A file, or the folder of a Zarr.

    Attributes
    ----------
    data
        Its bytes, where they were fetched; else what lies in a store is read by ranges, in as many
        requests as that takes.
    beside
        Name -> the file of that name in the same folder, or None; where a listing can tell.
    """

    path: Place
    data: bytes | None = None
    beside: Callable[[str], Place | None] | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes of the file that are in memory while it is open."""
        if self.data is not None:
            return len(self.data)
        return _RANGES_BYTES if isinstance(self.path, ObjectPath) else 0

    def head(self, size: int) -> bytes | None:
        """First bytes of the file; None for a folder.

        Raises
        ------
        OSError, ValueError
            If it is not there, cannot be read, or is neither a file nor a folder.
        """
        if self.data is not None:
            return self.data[:size]
        if isinstance(self.path, ObjectPath):
            return self._head_of_object(self.path, size)
        mode = self.path.stat().st_mode
        if stat.S_ISDIR(mode):
            return None
        if not stat.S_ISREG(mode):
            raise ValueError("neither a file nor a folder")
        with self.path.open("rb") as file:
            return file.read(size)

    def _head_of_object(self, path: ObjectPath, size: int) -> bytes | None:
        # Of a folder only a listing tells, so that a file is tried first, unless its name tells.
        if path.suffix.lower() == ".zarr" and path.is_dir():
            return None
        try:
            self._stream.seek(0)
            return self._stream.read(size)
        except FileNotFoundError:
            if path.is_dir():
                return None
            raise

    @property
    def size(self) -> int:
        """Bytes of the file."""
        if isinstance(self.path, Path):
            return self.path.stat().st_size
        return self._stream.seek(0, SEEK_END)

    def read_bytes(self) -> bytes:
        """All of the file."""
        if isinstance(self.path, Path):
            return self.path.read_bytes()
        if self.data is not None:
            return self.data
        self._stream.seek(0)
        return self._stream.read()

    def open_tiff(self, **flags: Any) -> TiffFile:
        """Open it as a TIFF."""
        if isinstance(self.path, Path):
            return TiffFile(self.path, **flags)
        self._stream.seek(0)
        return TiffFile(self._stream, name=self.path.name, **flags)

    def sibling(self, name: str) -> Place | None:
        """The file of a name in the same folder; None if there is none."""
        if self.beside is not None:
            return self.beside(name)
        file = self.path.parent / name
        return file if file.is_file() else None

    @cached_property
    def _stream(self) -> BinaryIO:
        """What is read of an object: opened once, so that its first bytes are asked for once."""
        return BytesIO(self.data) if self.data is not None else self.path.open("rb")
