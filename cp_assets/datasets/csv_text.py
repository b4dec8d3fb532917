"""CSV files of any size in pieces of whole rows, and the cells of their header rows."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from cp_assets.datasets.csv_files import is_gzipped, open_bytes
from cp_assets.datasets.fingerprints import unchanged
from cp_assets.errors import MeasurementError
from cp_assets.stores import ObjectPath
from cp_assets.streams import ahead

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from cp_assets.stores import Place

NULLS = ("", "nan", "NaN", "NAN", "-nan", "NA", "N/A", "null", "NULL", "None", "#N/A")
"""Texts that stand for no value, in every dialect.

Among numbers, nan in other forms does too; here each one costs time for each column of each file.
"""

_MAX_LINE = 16 * 2**20
_CLOSED = re.compile(
    rb'[^"]*+(?:(?:(?:(?<=[,\n\r])|\A)"[^"]*+(?:""[^"]*+)*+"|(?<![,\n\r])(?!\A)")[^"]*+)*+'
)
"""Text up to a quoted value that does not end, in one match: a match a value takes 5 times as long.

A quote at the beginning of a value opens it; another one is text.
"""


@dataclass(frozen=True)
class CsvText:
    """An open CSV file, its header read.

    Attributes
    ----------
    name
        The file, as errors name it.
    header
        The cells of each header row.
    size
        Of the file in bytes; None where it does not say: of a compressed one.
    """

    name: str
    header: tuple[tuple[str, ...], ...]
    size: int | None
    _stream: BinaryIO
    _is_in_store: bool

    def pieces(self, size: int | None) -> Iterator[bytes]:
        """The rest of the file in pieces of about ``size`` bytes that end with a row; None for one.

        Of a store, the next comes while one is used.

        Raises
        ------
        MeasurementError
            If a quoted value does not end, or a compressed file is damaged.
        """
        pieces = self._pieces(size)
        return ahead(pieces) if self._is_in_store and size is not None else pieces

    def _pieces(self, size: int | None) -> Generator[bytes, None, None]:
        while piece := self._read(size):
            # A piece may end in the middle of a row, and a row in a quoted line break.
            if not piece.endswith(b"\n"):
                piece += _line(self._stream, self.name)
            whole = _to_row_end(piece, self._stream, self.name)
            if not whole.isspace():
                yield whole
            if size is None:
                return

    def _read(self, size: int | None) -> bytes:
        if size is not None and self.size is not None:
            # Asking for much more than there is takes longer than reading it: memory is cleared.
            size = min(size, self.size)
        with _readable(self.name):
            return self._stream.read(-1 if size is None else size)


@contextmanager
def open_csv(path: Place, name: str, header_rows: int = 1) -> Iterator[CsvText]:
    """Open a CSV file in UTF-8, with or without a byte order mark, plain or (``.gz``) compressed.

    Parameters
    ----------
    name
        The file as errors name it.
    header_rows
        How many rows are its header; fewer are given where the file has fewer.

    Raises
    ------
    MeasurementError
        If the header is no CSV text in UTF-8.
    InputChangedError
        If the file changes while it is read.
    """
    with unchanged(path), open_bytes(path) as stream:
        header = []
        for row in range(header_rows):
            line = _to_row_end(_line(stream, name), stream, name)
            try:
                text = line.decode("utf-8" if row else "utf-8-sig")
                cells = next(csv.reader([text], strict=True), None)
            except (UnicodeDecodeError, csv.Error) as error:
                msg = f"{name} is not CSV text in UTF-8 ({error})"
                raise MeasurementError(msg) from error
            if cells:
                header.append(tuple(cells))
        size = None if is_gzipped(path) else path.stat().st_size or None
        is_in_store = isinstance(path, ObjectPath)
        yield CsvText(name, tuple(header), size, stream, is_in_store)


def _to_row_end(rows: bytes, stream: BinaryIO, name: str) -> bytes:
    """Rows with the lines that belong to their last value, where it is quoted and goes on.

    Raises
    ------
    MeasurementError
        If the value does not end.
    """
    parts, more = [rows], 0
    is_open = _ends_in_quotes(rows)
    while is_open:
        line = _line(stream, name)
        parts.append(line)
        more += len(line)
        # Arrow would take all the rest for the one value.
        if not line or more > _MAX_LINE:
            msg = f"{name}: a quoted value does not end within {_MAX_LINE} bytes"
            raise MeasurementError(msg)
        is_open = _ends_in_quotes(b'"' + line)
    return b"".join(parts)


def _ends_in_quotes(rows: bytes) -> bool:
    """Whether rows end within a quoted value."""
    # To look for a quote alone is 6 times as fast.
    closed = _CLOSED.match(rows) if b'"' in rows else None
    return closed is not None and closed.end() < len(rows)


def _line(stream: BinaryIO, name: str) -> bytes:
    with _readable(name):
        line = stream.readline(_MAX_LINE + 1)
    if len(line) > _MAX_LINE:
        msg = f"{name}: a line of more than {_MAX_LINE} bytes; expected CSV text"
        raise MeasurementError(msg)
    return line


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        msg = f"{name}: its compression is damaged ({error}); copy the file again"
        raise MeasurementError(msg) from error
