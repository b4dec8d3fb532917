"""Opening a numpy ``.npz`` that anyone may have made: nothing in it is run, no size is believed.

The sizes that the zip and the arrays state are held against each other and against a limit before
any memory is taken for them.
"""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from cp_assets.datasets.fingerprints import unchanged
from cp_assets.datasets.restricted_pickle import MAX_PICKLE_BYTES
from cp_assets.errors import CpAssetsError, MeasurementError
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from cp_assets.stores import Place

MAX_ARRAY_BYTES = 2**30
"""Largest array that is read, bytes: 1 GiB, 40,000 objects of 6,400 features."""

_MAX_HEADER = 4096
_PIECE = 2**20
_SMALL_FILE = 64 * 2**20
_MOST_DEFLATED = 1032
"""Times that deflate can make data smaller, at most."""

_DAMAGES = (
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, EOFError),
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError),
    *(RuntimeError, SyntaxError, MemoryError, OSError),
)
"""What zipfile and the parser of array headers raise on what they cannot read."""


@dataclass(frozen=True)
class Npz:
    """An open ``.npz``.

    Attributes
    ----------
    name
        The file, as errors name it.
    members
        Names of the arrays, without ``.npy``.
    """

    name: str
    members: frozenset[str]
    _archive: zipfile.ZipFile
    _max_bytes: int

    def numbers(self, member: str) -> npt.NDArray[Any]:
        """An array of floats, integers or booleans, of any shape, byte order and memory order.

        Raises
        ------
        MeasurementError
            If it is missing, damaged, too large or holds anything else.
        """
        with self._open(member, self._max_bytes) as (stream, size):
            shape, is_fortran, dtype, start = _header(stream)
            if dtype.kind not in "fiub":
                raise self._error(member, f"holds {dtype}; expected numbers")
            if math.prod(shape) * dtype.itemsize != size - start:
                detail = f"says that it has shape {shape} of {dtype}, which is not its size"
                raise self._error(member, detail)
            data = bytearray(size - start)
            _fill(stream, memoryview(data))
            return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")

    def pickle(self, member: str) -> bytes:
        """The pickle of an object array, as it stands in the file: it is not opened.

        Raises
        ------
        MeasurementError
            If it is missing, damaged, too large or no array of objects.
        """
        with self._open(member, MAX_PICKLE_BYTES + _MAX_HEADER) as (stream, size):
            shape, _, dtype, start = _header(stream)
            if dtype.kind != "O" or shape != ():
                detail = f"is an array of shape {shape} of {dtype}; expected one object"
                raise self._error(member, detail)
            data = bytearray(size - start)
            _fill(stream, memoryview(data))
        return bytes(data)

    @contextmanager
    def _open(self, member: str, limit: int) -> Iterator[tuple[IO[bytes], int]]:
        """Open a member whose stated size is possible and within a limit, in bytes."""
        try:
            found = self._archive.getinfo(f"{member}.npy")
            self._hold_size(member, found, limit)
            with self._archive.open(found) as stream:
                yield stream, found.file_size
        except CpAssetsError:
            raise
        except _DAMAGES as error:
            raise self._error(member, f"cannot be read ({_said(error)})") from error

    def _hold_size(self, member: str, found: zipfile.ZipInfo, limit: int) -> None:
        packed = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: _MOST_DEFLATED}
        if found.compress_type not in packed:
            raise self._error(member, "is compressed in another way than numpy does")
        if found.file_size > limit:
            raise self._error(member, f"has {found.file_size} bytes; at most {limit} are read")
        if found.file_size > packed[found.compress_type] * (found.compress_size + 1):
            detail = f"cannot have {found.file_size} bytes, {found.compress_size} compressed"
            raise self._error(member, detail)

    def _error(self, member: str, detail: str) -> MeasurementError:
        return MeasurementError(f"{self.name}: {member}.npy {detail}")


@contextmanager
def open_npz(path: Place, name: str, max_bytes: int = MAX_ARRAY_BYTES) -> Iterator[Npz]:
    """Open an ``.npz`` of numpy.

    Parameters
    ----------
    name
        The file as errors name it.
    max_bytes
        Largest array that may be read, bytes.

    Raises
    ------
    MeasurementError
        If the file is not there, no zip, or damaged.
    InputChangedError
        If the file changes while it is read.
    """
    if not path.is_file():
        # A pipe would be waited for.
        msg = f"{name} is not a file"
        raise MeasurementError(msg)
    with unchanged(path), _stream(path) as stream:
        try:
            archive = zipfile.ZipFile(_CarefulFile(stream))
            names = archive.namelist()
        except CpAssetsError:
            raise
        except _DAMAGES as error:
            msg = f"{name} is no .npz that can be read ({_said(error)}); export it again"
            raise MeasurementError(msg) from error
        with archive:
            members = frozenset(one.removesuffix(".npy") for one in names if one.endswith(".npy"))
            yield Npz(name, members, archive, max_bytes)


class _CarefulFile(io.RawIOBase):
    """A file of which no more than a piece is read at once: a zip's list of members may lie."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            # What zipfile reads so is the end of the file.
            size = _PIECE + 1
        data = self._stream.read(min(size, _PIECE + 1)) or b""
        if len(data) > _PIECE:
            msg = f"a list of members of more than {_PIECE} bytes"
            raise ValueError(msg)
        return data


def _stream(path: Place) -> IO[bytes]:
    """The file's bytes; of a small one of a store all at once, since each read is a request."""
    if isinstance(path, ObjectPath) and path.stat().st_size <= _SMALL_FILE:
        return io.BytesIO(path.read_bytes())
    return path.open("rb")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether the first axis varies fastest, dtype, and bytes before the values."""
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        msg = f"version {version} of the format of arrays; expected 1.0 or 2.0"
        raise ValueError(msg)
    shape, is_fortran, dtype = readers[version](stream, max_header_size=_MAX_HEADER)
    if min(shape, default=0) < 0:
        msg = f"shape {shape}"
        raise ValueError(msg)
    return shape, is_fortran, dtype, stream.tell()


def _fill(stream: IO[bytes], into: memoryview) -> None:
    """Read exactly so many bytes; the end of the stream must follow, which holds its checksum."""
    at = 0
    while at < len(into):
        piece = stream.read(min(_PIECE, len(into) - at))
        if not piece:
            msg = f"{at} of {len(into)} bytes"
            raise EOFError(msg)
        into[at : at + len(piece)] = piece
        at += len(piece)
    if stream.read(1):
        msg = "more bytes than it states"
        raise ValueError(msg)


def _said(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]
