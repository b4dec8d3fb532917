"""The chunks of a Zarr array as stores of zarr: inside their folder, unchanged, none too large."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore, MemoryStore

from cp_assets.datasets.listing import existing_file
from cp_assets.errors import ImageReadError
from cp_assets.images.readers.guarding import changed, file_state
from cp_assets.images.readers.zarr_metadata import METADATA_FILES
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from pathlib import Path

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

    from cp_assets.images.readers.zarr_nodes import ZarrStore
    from cp_assets.stores import Place


class Chunks(ABC):
    """The files of one array.

    Attributes
    ----------
    absent
        Keys of the chunks that were asked for and are not there, since `absent` was last cleared.
    """

    def __init__(self, largest: int) -> None:
        self.absent: list[str] = []
        self._largest = largest
        self._any_chunk = False

    def has_chunks(self) -> bool:
        """Tell whether any chunk of the array was ever written."""
        if not self._any_chunk:
            self._any_chunk = self._find_any()
        return self._any_chunk

    @abstractmethod
    def _find_any(self) -> bool:
        """Look for a chunk."""

    def _check_size(self, file: Place, size: int, byte_range: ByteRequest | None) -> None:
        missing = isinstance(byte_range, RangeByteRequest) and byte_range.end > size
        # Zarr takes an empty chunk, and an inner chunk past a shard's end, for one never written.
        if not size or missing or size > self._largest:
            msg = (
                f"image {file}: a chunk of {size:,} bytes, which is "
                f"{'too much' if size > self._largest else 'truncated'}; copy the store again"
            )
            raise ImageReadError(msg)


class DiskChunks(Chunks, LocalStore):
    """Chunks in a folder."""

    def __init__(self, store: ZarrStore, folder: Path, largest: int) -> None:
        Chunks.__init__(self, largest)
        LocalStore.__init__(self, folder, read_only=True)
        self._store = store

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Read a chunk, or a part of it.

        Raises
        ------
        ImageReadError
            If it lies outside the store, or is far larger than a chunk of this array can be.
        InputChangedError
            If it changed while it was read.
        """
        file = self.root / key
        before = file_state(file)
        if before is None:
            self.absent.append(key)
            return None
        self._store.check_inside(file)
        if not file.is_file():
            raise ValueError(f"chunk {key} is no file")
        self._check_size(file, before[0], byte_range)
        value = await super().get(key, prototype, byte_range)
        if file_state(file) != before:
            raise changed(file)
        self._any_chunk = True
        return value

    def _find_any(self) -> bool:
        return any(
            name not in METADATA_FILES for _, _, names in os.walk(self.root) for name in names
        )


class ObjectChunks(Chunks, MemoryStore):
    """Chunks in an object store: zarr's own store in memory stays empty, as nothing is kept.

    A chunk is one request. Of a shard, whose parts must be of one version, the state comes first.
    """

    def __init__(self, folder: ObjectPath, largest: int) -> None:
        Chunks.__init__(self, largest)
        MemoryStore.__init__(self, read_only=True)
        self._folder = folder
        self._shards: dict[str, ObjectPath] = {}

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Read a chunk, or a part of it; see `DiskChunks.get`."""
        try:
            data = await asyncio.to_thread(self._read, key, byte_range)
        except FileNotFoundError:
            self.absent.append(key)
            return None
        self._any_chunk = True
        return (prototype or default_buffer_prototype()).buffer.from_bytes(data)

    def _read(self, key: str, byte_range: ByteRequest | None) -> bytes:
        if byte_range is None:
            file = self._folder / key
            data = file.read_range(0, self._largest + 1)
            self._check_size(file, len(data), None)
            return data
        shard = self._shard(key)
        size = shard.stat().st_size
        self._check_size(shard, size, byte_range)
        match byte_range:
            case RangeByteRequest(start, stop):
                return shard.read_range(start, stop)
            case OffsetByteRequest(start):
                return shard.read_range(start)
            case SuffixByteRequest(count):
                return shard.read_range(max(0, size - count))

    def _shard(self, key: str) -> ObjectPath:
        """A shard, held to the state that it had when it was first asked for."""
        if key not in self._shards:
            shard = existing_file(self._folder / key)
            if not isinstance(shard, ObjectPath):
                raise FileNotFoundError(key)
            self._shards[key] = shard
        return self._shards[key]

    def _find_any(self) -> bool:
        return any(file.name not in METADATA_FILES for file in self._folder.files_below())
