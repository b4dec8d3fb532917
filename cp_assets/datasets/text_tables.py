"""Small tables that people make - plate maps, lists of plates - read as text, row by row.

CSV, TSV and Parquet, plain or gzipped text; whatever spreadsheet wrote them: with a byte order
mark, any line ends, quoted delimiters, trailing empty cells.
"""

from __future__ import annotations

import csv
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.datasets.csv_files import open_text
from cp_assets.datasets.csv_text import NULLS
from cp_assets.datasets.parquet_files import open_parquet
from cp_assets.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cp_assets.stores import Place

NO_VALUE = frozenset((*NULLS, "<NA>"))
"""Texts that say there is no value, as for measurements and for pandas."""

_DELIMITERS = {".tsv": "\t", ".txt": "\t"}
_LARGEST_WHOLE = 2.0**53


@dataclass(frozen=True)
class TextTable:
    """A table file, every value of which is text or None.

    Attributes
    ----------
    columns
        The header without white space around its names; empty for a file without a header.
    """

    path: Place
    columns: tuple[str, ...]

    @classmethod
    def of(cls, path: Place) -> TextTable:
        """Read a file's header.

        Raises
        ------
        MeasurementError
            If the file cannot be read, or has a column twice.
        """
        with _errors(path):
            columns = _parquet_columns(path) if _is_parquet(path) else _text_columns(path)
        named = [name for name in columns if name]
        repeated = next((name for name in named if named.count(name) > 1), None)
        if repeated is not None:
            msg = f"{path} has the column {repeated!r} more than once; expected each column once"
            raise MeasurementError(msg)
        return cls(path, columns)

    def rows(self) -> Iterator[tuple[int, list[str | None]]]:
        """Rows with their number, from 1 without the header.

        A short row is filled with None. A row that is longer than the header, empty cells at its
        end apart, comes as long as it is. Blank lines are passed over.

        Raises
        ------
        MeasurementError
            If the file cannot be read.
        """
        with _errors(self.path):
            for number, row in enumerate(_rows(self.path), start=1):
                values = [None if value in NO_VALUE else value for value in row]
                while len(values) > len(self.columns) and values[-1] is None:
                    values.pop()
                values += [None] * (len(self.columns) - len(values))
                yield number, values


def _is_parquet(path: Place) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


@contextmanager
def _errors(path: Place) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or error
        msg = (
            f"{path} cannot be read ({reason}); expected CSV or tab-separated text in UTF-8 (.csv, "
            ".tsv, .txt, or these with .gz) or Parquet (.parquet). Save it again as one of them"
        )
        raise MeasurementError(msg) from error


def _delimiter(path: Place, header: str) -> str:
    """The delimiter of the file's ending where the header has it, else the one that it has."""
    name = path.name.lower().removesuffix(".gz")
    usual = next((mark for end, mark in _DELIMITERS.items() if name.endswith(end)), ",")
    return usual if usual in header else max("\t,;", key=header.count)


def _text_columns(path: Place) -> tuple[str, ...]:
    with open_text(path) as stream:
        header = stream.readline()
        stream.seek(0)
        rows = csv.reader(stream, delimiter=_delimiter(path, header), strict=True)
        return tuple(name.strip() for name in next(rows, []))


def _rows(path: Place) -> Iterator[Sequence[str | None]]:
    yield from _parquet_rows(path) if _is_parquet(path) else _text_rows(path)


def _text_rows(path: Place) -> Iterator[list[str]]:
    with open_text(path) as stream:
        header = stream.readline()
        stream.seek(0)
        rows = csv.reader(stream, delimiter=_delimiter(path, header), strict=True)
        next(rows, None)
        yield from (row for row in rows if row)


def _parquet_columns(path: Place) -> tuple[str, ...]:
    with open_parquet(path) as file:
        return tuple(name.strip() for name in file.schema_arrow.names)


def _parquet_rows(path: Place) -> Iterator[list[str | None]]:
    with open_parquet(path) as file:
        for batch in file.iter_batches():
            columns = [[_as_text(value) for value in column.to_pylist()] for column in batch]
            yield from (list(row) for row in zip(*columns, strict=True))


def _as_text(value: object) -> str | None:
    """A typed value as a person would write it.

    A whole number has no point: pandas keeps names such as 1053597806 as floats beside nulls.
    """
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST_WHOLE:
        return str(int(value))
    return str(value)
