"""What every reader owes: bounded memory, one kind of error, files that stay as they are."""

from __future__ import annotations

import logging
import struct
from abc import abstractmethod
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from cp_assets.errors import ImageReadError, InputChangedError, PassingFaultError, StoreError
from cp_assets.images.readers.model import AXES, ImageReader
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cp_assets.images.readers.model import Region
    from cp_assets.payloads.types import Pixels
    from cp_assets.stores import Place

DEFAULT_LIMIT = 4 * 2**30
"""Bytes that one read may decode, unless told otherwise."""

MAX_PLANES = 2**18
"""Planes of one image, and pages of one file; more is taken for a fault in the file."""

logger = logging.getLogger(__name__)

_KINDS = "buif"
_UNSUSPICIOUS_BYTES = 64 * 2**20
_HIGHEST_RATIO = 20_000

FileState = tuple[int, int, int]
"""Size, time of change and inode: what tells that a file is still the same."""


def file_state(path: Path) -> FileState | None:
    """State of a file; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


class Watch:
    """The files that a reader opened, as they were when it opened them.

    Files on a disk: what is read of an object is held to one version by its store.
    """

    def __init__(self) -> None:
        self._states: dict[Path, FileState | None] = {}

    def add(self, path: Place) -> None:
        """Remember a file as it is now, or as it was when it was first added."""
        if not isinstance(path, ObjectPath) and path not in self._states:
            self._states[path] = file_state(path)

    def check(self) -> None:
        """Compare every file with what it was.

        Raises
        ------
        InputChangedError
            If one of them changed or vanished.
        """
        for path, state in self._states.items():
            if file_state(path) != state:
                raise changed(path)


def changed(path: Place) -> InputChangedError:
    """Say that a file is not what it was."""
    msg = f"image {path}: changed while it was read; run the plate again when it is complete"
    return InputChangedError(msg)


_READING: ContextVar[bool] = ContextVar("_READING", default=False)


def _not_ours(record: logging.LogRecord) -> bool:
    """Move what tifffile logs of a file that we read to our log: an error says it, or nobody need.

    A filter of its logger, so that what other code lets tifffile read is logged as ever, and a
    handler that wants to see it all can: `logger` has it at the level DEBUG.
    """
    if _READING.get():
        logger.debug("tifffile, %s: %s", record.levelname, record.getMessage())
    return not _READING.get()


logging.getLogger("tifffile").addFilter(_not_ours)


@contextmanager
def decoding(path: Place, watch: Watch) -> Iterator[None]:
    """Turn whatever a decoder raises for bad bytes into one of our errors, and keep it quiet.

    Raises
    ------
    ImageReadError
        If the body failed.
    InputChangedError
        If a watched file is no longer what it was, whether the body failed or not; or if an object
        is gone.
    StoreError
        As the body: what an object store refuses says nothing of the bytes.
    """
    before = _READING.set(True)
    try:
        yield
    except Exception as error:  # decoders raise errors of many kinds for bad bytes
        watch.check()
        if isinstance(error, ImageReadError | PassingFaultError | StoreError):
            raise
        if isinstance(error, FileNotFoundError) and isinstance(path, ObjectPath):
            raise changed(path) from error
        msg = (
            f"image {path}: cannot be decoded ({_in_words(error)}); the file is truncated or "
            "corrupt, copy it again from its source"
        )
        raise ImageReadError(msg) from error
    finally:
        _READING.reset(before)
    watch.check()


def _in_words(error: Exception) -> str:
    if isinstance(error, struct.error | EOFError):
        return "it ends inside one of its headers"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def check_dtype(path: Place, dtype: np.dtype[np.generic] | None) -> np.dtype[np.generic]:
    """Give the dtype in the machine's byte order, if its values are whole or real numbers."""
    if dtype is None or dtype.kind not in _KINDS:
        msg = f"image {path}: pixels of type {dtype}; expected whole or real numbers"
        raise ImageReadError(msg)
    return dtype.newbyteorder("=")


def check_stored(path: Place, what: str, decoded: int, stored: int, limit: int) -> None:
    """Refuse to decode a piece of a file that claims to be far larger than its bytes can hold.

    Parameters
    ----------
    what
        The piece, such as ``tile 7``.
    decoded, stored
        Bytes that it claims to hold, and bytes that it takes in the file.
    limit
        Highest number of decoded bytes.
    """
    if decoded > limit:
        msg = (
            f"image {path}: {what} decodes to {decoded:,} bytes, more than the {limit:,} that one "
            "read may take; raise the limit, or write the image in smaller tiles"
        )
        raise ImageReadError(msg)
    if decoded > _UNSUSPICIOUS_BYTES and decoded > stored * _HIGHEST_RATIO:
        msg = (
            f"image {path}: {what} claims to decode to {decoded:,} bytes from {stored:,} stored "
            "ones; the file is corrupt, copy it again from its source"
        )
        raise ImageReadError(msg)


class GuardedReader(ImageReader):
    """A reader that checks windows, limits and files, and leaves the decoding to `_decode`."""

    def __init__(self, path: Place, watch: Watch, limit: int) -> None:
        self._path = path
        self._watch = watch
        self._limit = limit

    @abstractmethod
    def _decode(self, region: Region) -> Pixels:
        """Decode a window that lies inside the image and below the limit, with its five axes."""

    def read(self, region: Region | None = None) -> Pixels:
        """Decode a window; see `ImageReader.read`."""
        region = self.header.whole if region is None else region
        self._check_region(region)
        with decoding(self._path, self._watch):
            pixels = self._decode(region)
        if pixels.shape != region.shape or pixels.dtype != self.header.dtype:
            msg = (
                f"image {self._path}: decoded to {pixels.dtype} {pixels.shape}, but its "
                f"header says {self.header.dtype} {region.shape}; copy it again from its source"
            )
            raise ImageReadError(msg)
        return np.ascontiguousarray(pixels, dtype=self.header.dtype)

    def _check_region(self, region: Region) -> None:
        ranges = (region.t, region.c, region.z, region.y, region.x)
        for axis, (start, stop), size in zip(AXES, ranges, self.header.shape, strict=True):
            if not 0 <= start < stop <= size:
                msg = (
                    f"image {self._path}: window {start}:{stop} of axis {axis} is empty or "
                    f"not inside the image, which has the shape {self.header.shape} (TCZYX)"
                )
                raise ImageReadError(msg)
        nbytes = prod(region.shape) * self.header.dtype.itemsize
        if nbytes > self._limit:
            msg = (
                f"image {self._path}: {region.shape} pixels (TCZYX) of "
                f"{self.header.dtype} are {nbytes:,} bytes, more than the {self._limit:,} that one "
                "read may take; read smaller windows, or raise the limit"
            )
            raise ImageReadError(msg)
