"""Paths in object stores, with the part of `pathlib`'s interface that reading inputs needs."""

from __future__ import annotations

import io
import stat
from dataclasses import dataclass, field, replace
from functools import total_ordering
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

from cp_assets.stores.connections import connect
from cp_assets.stores.options import StoreOptions
from cp_assets.stores.parts import copy_whole, read_whole
from cp_assets.stores.range_file import RangeFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cp_assets.stores.model import ObjectState, ObjectStore


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """What `ObjectPath.stat` gives: the names of `os.stat_result`, and the ETag."""

    st_size: int
    st_mtime_ns: int
    etag: str
    st_mode: int = stat.S_IFREG | 0o444
    st_ino: int = 0


@total_ordering
@dataclass(frozen=True, eq=False, repr=False, slots=True)
class ObjectPath:
    """A place in a bucket: an object, or the folder of all keys below it.

    Methods that `pathlib.Path` has mean the same here. There are no links. A path that a listing
    gave knows what it is and in which state: to ask it costs no request, and to read it reads that
    state or raises `InputChangedError`.

    Attributes
    ----------
    bucket
        URL of the bucket, such as ``s3://bucket``; of Azure, ``az://container``.
    key
        Without a slash at either end; empty for the bucket itself.
    """

    bucket: str
    key: str = ""
    options: StoreOptions = field(default_factory=StoreOptions)
    _known: ObjectState | Literal["folder"] | None = None

    @classmethod
    def parse(cls, url: str, options: StoreOptions | None = None) -> ObjectPath:
        """Read a URL such as ``s3://bucket/a/b``."""
        scheme, _, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        return cls(f"{scheme}://{bucket}", options=options or StoreOptions()) / key.lstrip("/")

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectPath) and str(self) == str(other)

    def __lt__(self, other: ObjectPath) -> bool:
        # As pathlib: by parts, so that `a/b` comes before `a-c/b`.
        return (self.bucket, self._parts) < (other.bucket, other._parts)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"ObjectPath({str(self)!r})"

    def __truediv__(self, other: str | PurePosixPath) -> ObjectPath:
        below = PurePosixPath(other)
        if below.is_absolute():
            return self._at("/".join(below.parts[1:]))
        return self._at("/".join((*self._parts, *below.parts)))

    # What a name says.

    @property
    def _parts(self) -> tuple[str, ...]:
        return tuple(self.key.split("/")) if self.key else ()

    @property
    def parts(self) -> tuple[str, ...]:
        """The bucket's URL, then the parts of the key."""
        return (self.bucket, *self._parts)

    @property
    def name(self) -> str:
        """The last part of the key; of a bucket, its name."""
        return self._parts[-1] if self.key else self.bucket.partition("://")[2]

    @property
    def suffix(self) -> str:
        """The ending of the name, with its point."""
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> ObjectPath:
        """The folder above; of a bucket, itself."""
        return self._at("/".join(self._parts[:-1]))

    @property
    def parents(self) -> Sequence[ObjectPath]:
        """The folders above, the nearest first, the bucket last."""
        parts = self._parts
        return tuple(self._at("/".join(parts[:end])) for end in range(len(parts) - 1, -1, -1))

    def joinpath(self, *others: str | PurePosixPath) -> ObjectPath:
        """The path below this one; from the bucket on, if one of the others is absolute."""
        return self / PurePosixPath(*others)

    def with_name(self, name: str) -> ObjectPath:
        """The path beside this one.

        Raises
        ------
        ValueError
            If the name is none, or this is the bucket.
        """
        return self._at(str(PurePosixPath(self.key).with_name(name)))

    def is_relative_to(self, other: object) -> bool:
        """Whether this is the other path or lies below it."""
        return isinstance(other, ObjectPath) and (self == other or other in self.parents)

    def relative_to(self, other: ObjectPath) -> PurePosixPath:
        """The path below another.

        Raises
        ------
        ValueError
            If it does not lie there.
        """
        if not self.is_relative_to(other):
            msg = f"{self} is not below {other}"
            raise ValueError(msg)
        return PurePosixPath(*self._parts[len(other._parts) :])

    def resolve(self) -> ObjectPath:
        """The path without its ``..``; there are no links."""
        if ".." not in self._parts:
            return self
        kept: list[str] = []
        for part in self._parts:
            if part != "..":
                kept.append(part)
            elif kept:
                kept.pop()
        return self._at("/".join(kept))

    def as_uri(self) -> str:
        """Its URL."""
        return str(self)

    def as_posix(self) -> str:
        """Its URL."""
        return str(self)

    # What the store says.

    def exists(self) -> bool:
        """Whether it is an object or a folder."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Whether it is an object."""
        return self._state() is not None

    def is_dir(self) -> bool:
        """Whether there are objects below it; the bucket is one whatever it holds."""
        if self._known is not None or not self._key:
            return self._known == "folder" or not self._key
        return any(True for _ in self._store.list(self._below, delimited=True))

    def is_symlink(self) -> bool:
        """Never."""
        return False

    def stat(self) -> ObjectStat:
        """Its size and times.

        Raises
        ------
        FileNotFoundError
            If it is no object.
        """
        state = self._state()
        if state is None:
            msg = f"{self}: there is no such object"
            raise FileNotFoundError(msg)
        return ObjectStat(state.size, state.modified_ns, state.etag)

    def iterdir(self) -> Iterator[ObjectPath]:
        """What lies directly in it; asks for no key further down.

        Raises
        ------
        FileNotFoundError
            If there is nothing, unless it is the bucket.
        NotADirectoryError
            If it is an object, and no folder.
        """
        entry = None
        for entry in self._store.list(self._below, delimited=True):
            yield self._listed(entry.key, entry.state or "folder")
        # A folder that was listed and has nothing in it has a mark.
        if entry is None and self._key and self._known != "folder":
            raise self._no_folder()

    def files_below(self) -> Iterator[ObjectPath]:
        """All objects below it, at any depth, in the order of their keys; none if it is no folder.

        Takes a request for each 1,000 of them.
        """
        for entry in self._store.list(self._below, delimited=False):
            if entry.state is not None:
                yield self._listed(entry.key, entry.state)

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open the object to read it: seekable, and of one version however long it is open."""
        if mode != "rb":
            msg = f"{self}: can be opened as rb, not as {mode}"
            raise ValueError(msg)
        return cast("BinaryIO", io.BufferedReader(RangeFile(self._store, self._key, self._held)))

    def read_bytes(self) -> bytes:
        """The object's bytes, all of one version; large ones in parts side by side."""
        return read_whole(self._store, self._key, self._held)

    def read_range(self, start: int, stop: int | None = None) -> bytes:
        """The object's bytes ``start`` to ``stop``, or to its end; of the version that is held."""
        etag = self._held.etag if self._held is not None else None
        return self._store.read(self._key, start, stop, etag=etag)[0]

    def read_text(self, encoding: str = "utf-8") -> str:
        """The object's text."""
        return self.read_bytes().decode(encoding)

    def copy_to(self, path: Path) -> None:
        """Copy the object to a local file, all of one version.

        Parameters
        ----------
        path
            Is made, or written over.
        """
        copy_whole(self._store, self._key, self._held, path)

    def write_bytes(self, data: bytes) -> int:
        """Put the object whole; returns its size."""
        self._store.write(self._key, data)
        return len(data)

    def known_as(self, state: ObjectState | Literal["folder"] | None) -> ObjectPath:
        """The same path, held to a state; or, of None, one that asks the store again."""
        return replace(self, _known=state)

    @property
    def _key(self) -> str:
        """The key to ask for."""
        return self.resolve().key

    @property
    def _below(self) -> str:
        return f"{self._key}/" if self._key else ""

    @property
    def _store(self) -> ObjectStore:
        return connect(self.bucket, self.options)

    @property
    def _held(self) -> ObjectState | None:
        """The state that must be read."""
        return None if self._known == "folder" else self._known

    def _state(self) -> ObjectState | None:
        if self._known is None:
            return self._store.head(self._key) if self._key else None
        return self._held

    def _no_folder(self) -> OSError:
        if self.is_file():
            return NotADirectoryError(f"{self}: is an object; expected a folder")
        return FileNotFoundError(f"{self}: there is no such folder")

    def _at(self, key: str) -> ObjectPath:
        return ObjectPath(self.bucket, key, self.options)

    def _listed(self, key: str, known: ObjectState | Literal["folder"]) -> ObjectPath:
        return ObjectPath(self.bucket, key, self.options, known)
