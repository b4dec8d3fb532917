"""The metadata files of a Zarr, on a disk or in an object store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cp_assets.errors import ImageReadError
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from cp_assets.images.readers.guarding import Watch
    from cp_assets.stores import Place

NODE_FILES = ("zarr.json", ".zarray", ".zgroup")
"""One of them makes a folder an array or a group."""

_ASKED_AT_ONCE = (*NODE_FILES, ".zattrs")
METADATA_FILES = frozenset((*_ASKED_AT_ONCE, ".zmetadata"))

_MAX_BYTES = 64 * 2**20


class MetadataFiles(ABC):
    """What lies in the folders of a Zarr beside its chunks."""

    @classmethod
    def of(cls, path: Place, watch: Watch) -> MetadataFiles:
        """Those around a path."""
        return _Objects() if isinstance(path, ObjectPath) else _OnDisk(watch)

    @abstractmethod
    def has(self, folder: Place, name: str) -> bool:
        """Whether a folder has a metadata file."""

    @abstractmethod
    def read(self, folder: Place, name: str) -> bytes:
        """Read a metadata file that is there.

        Raises
        ------
        ImageReadError
            If it is larger than 64 MiB.
        """

    def is_node(self, folder: Place) -> bool:
        """Whether a folder is an array or a group."""
        return any(self.has(folder, name) for name in NODE_FILES)


class _OnDisk(MetadataFiles):
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def has(self, folder: Place, name: str) -> bool:
        return (folder / name).is_file()

    def read(self, folder: Place, name: str) -> bytes:
        file = folder / name
        self._watch.add(file)
        _check_size(file, file.stat().st_size)
        return file.read_bytes()


class _Objects(MetadataFiles):
    """Asks for all files that a folder may have at once, and only once."""

    def __init__(self) -> None:
        self._known: dict[Place, dict[str, bytes | None]] = {}

    def has(self, folder: Place, name: str) -> bool:
        return self._folder(folder)[name] is not None

    def read(self, folder: Place, name: str) -> bytes:
        data = self._folder(folder)[name] or b""
        _check_size(folder / name, len(data))
        return data

    def _folder(self, folder: Place) -> dict[str, bytes | None]:
        if folder not in self._known:
            files = [folder / name for name in _ASKED_AT_ONCE]
            with ThreadPoolExecutor(len(files)) as threads:
                self._known[folder] = dict(
                    zip(_ASKED_AT_ONCE, threads.map(_first_bytes, files), strict=True)
                )
        return self._known[folder]


def _first_bytes(file: Place) -> bytes | None:
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None


def _check_size(file: Place, size: int) -> None:
    if size > _MAX_BYTES:
        msg = f"image {file}: metadata of {size:,} bytes; at most 64 MiB are read"
        raise ImageReadError(msg)
