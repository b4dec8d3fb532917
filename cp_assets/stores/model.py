"""What every object store does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class ObjectState:
    """An object as a store has it: size in bytes, ETag without quotes, time of change in ns."""

    size: int
    etag: str
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of a listing: an object, or with a delimiter a folder, which has no state.

    Attributes
    ----------
    key
        In the bucket, without a slash at its end.
    """

    key: str
    state: ObjectState | None


def is_path(key: str) -> bool:
    """Whether a key is its parts joined by slashes, as every path's is."""
    return not {"", ".", ".."}.intersection(key.split("/"))


class ObjectStore(ABC):
    """One bucket. Safe to use from several threads.

    Passing faults (throttling, broken connections, bodies cut short) are tried again with back-off.

    Raises
    ------
    StoreError
        Of each method: if the store refuses the request; names the URL and what to do.
    StoreUnavailableError
        Of each method: if it fails in passing, more often than the options allow.
    """

    url: str
    """Of the bucket, without a slash at its end: ``s3://bucket``."""

    @abstractmethod
    def list(self, prefix: str, *, delimited: bool) -> Iterator[Listed]:
        """List the keys that begin with a prefix, which is empty or ends in a slash.

        Marks of folders, which are empty objects whose key ends in a slash, are left out, and so
        is every key that no path names, such as ``a//b``.

        Parameters
        ----------
        delimited
            Whether what lies below a further slash is listed as one folder and not looked at.
        """

    @abstractmethod
    def head(self, key: str) -> ObjectState | None:
        """State of an object; None if there is none."""

    @abstractmethod
    def read(
        self, key: str, start: int = 0, stop: int | None = None, *, etag: str | None = None
    ) -> tuple[bytes, ObjectState]:
        """Bytes ``start`` to ``stop`` of an object, and its state.

        Parameters
        ----------
        stop
            Not included; None for the end. One beyond the end is the end.
        etag
            The only version that may be read.

        Raises
        ------
        FileNotFoundError
            If there is no such object.
        InputChangedError
            If the object is of another version than ``etag``.
        """

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Put an object whole, in place of one that is there."""
