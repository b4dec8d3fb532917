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
from cp_assets.stores.range_file import RangeFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
@dataclass(frozen=True, eq=False, slots=True)
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
        return cls(f"{scheme}://{bucket}", key.strip("/"), options or StoreOptions())

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}" if self.key else self.bucket

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectPath) and str(self) == str(other)

    def __lt__(self, other: ObjectPath) -> bool:
        # As pathlib: by parts, so that `a/b` comes before `a-c/b`.
        return (self.bucket, self._parts) < (other.bucket, other._parts)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, other: str | PurePosixPath) -> ObjectPath:
        below = str(other).strip("/")
        return self._at(f"{self.key}/{below}".strip("/") if below not in {"", "."} else self.key)

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

    def joinpath(self, *others: str) -> ObjectPath:
        """The path below this one."""
        return self / "/".join(others)

    def with_name(self, name: str) -> ObjectPath:
        """The path beside this one."""
        return self.parent / name

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
        """Itself: there are no links."""
        return self

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
        """Whether there are objects below it."""
        if self._known is not None:
            return self._known == "folder"
        return next(iter(self._store.list(self._below, delimited=True)), None) is not None

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
        """What lies directly in it; asks for no key further down."""
        for entry in self._store.list(self._below, delimited=True):
            yield self._listed(entry.key, entry.state or "folder")

    def files_below(self) -> Iterator[ObjectPath]:
        """All objects below it, at any depth, in the order of their keys."""
        for entry in self._store.list(self._below, delimited=False):
            if entry.state is not None:
                yield self._listed(entry.key, entry.state)

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open the object to read it: seekable, and of one version however long it is open."""
        if mode != "rb":
            msg = f"{self}: can be opened as rb, not as {mode}"
            raise ValueError(msg)
        known = self._known if self._known != "folder" else None
        return cast("BinaryIO", io.BufferedReader(RangeFile(self._store, self.key, known)))

    def read_bytes(self, start: int = 0, stop: int | None = None) -> bytes:
        """The object's bytes, or those from ``start`` to ``stop``; all of one version."""
        known = self._known if self._known != "folder" else None
        data, _ = self._store.read(self.key, start, stop, etag=known.etag if known else None)
        return data

    def read_text(self, encoding: str = "utf-8") -> str:
        """The object's text."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, data: bytes) -> int:
        """Put the object whole; returns its size."""
        self._store.write(self.key, data)
        return len(data)

    def known_as(self, state: ObjectState | Literal["folder"] | None) -> ObjectPath:
        """The same path, held to a state; or, of None, one that asks the store again."""
        return replace(self, _known=state)

    @property
    def _below(self) -> str:
        return f"{self.key}/" if self.key else ""

    @property
    def _store(self) -> ObjectStore:
        return connect(self.bucket, self.options)

    def _state(self) -> ObjectState | None:
        if self._known is None:
            return self._store.head(self.key) if self.key else None
        return None if self._known == "folder" else self._known

    def _at(self, key: str) -> ObjectPath:
        return ObjectPath(self.bucket, key, self.options)

    def _listed(self, key: str, known: ObjectState | Literal["folder"]) -> ObjectPath:
        return ObjectPath(self.bucket, key, self.options, known)
