"""CSV files of any size as a stream: keys as text, everything else as what all its values are."""

from __future__ import annotations

import csv
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.contract.names import BATCH_NAMES, KEY_NAMES, check_distinct
from cp_assets.contract.scratch import scratch_connection
from cp_assets.datasets.csv_files import open_text
from cp_assets.datasets.csv_text import NULLS
from cp_assets.errors import MeasurementError
from cp_assets.stores.spool import spooled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cp_assets.stores import Place

_BATCH_VALUES = 2**22
"""Values of a batch: rows are fewer where there are thousands of columns."""

_NAME = "^[+-]?0[0-9]"
"""Texts of digits that are no numbers."""

_WHOLE = "^(0|-?[1-9][0-9]*)$"
_EXACT = 2**53
"""Whole numbers as far as floating point tells them apart."""

_MOST_ROWS = 65_536
_MEMORY = 2**30
"""Most bytes for DuckDB's reader, which takes them where there are thousands of columns."""

_LONGEST_LINE = 2 * 2**20


@dataclass(frozen=True)
class CsvRows:
    """A CSV file with a header, in UTF-8, plain or (``.gz``) compressed.

    Attributes
    ----------
    keys
        Columns that are text whatever they hold, beside those whose names say that they are keys.
    """

    path: Place
    keys: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The file."""
        return str(self.path)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The header.

        Raises
        ------
        MeasurementError
            If it is no CSV text, or has a column twice.
        """
        with self._readable(), open_text(self.path) as stream:
            header = tuple(next(csv.reader(stream, strict=True), ()))
        if not any(header):
            msg = f"{self.path} has no header; expected names of columns in its first line"
            raise MeasurementError(msg)
        check_distinct(self.path, header)
        return header

    @cached_property
    def schema(self) -> pa.Schema:
        """Whole numbers, numbers or text, as all values of a column are; reads the whole file.

        Keys are text, since 1.1 and 1.10 are two names. So is what begins with a zero, what a
        number would not hold exactly, and a column without values.
        """
        texts = {*KEY_NAMES, *BATCH_NAMES, *self.keys}
        held = {name: _Held(text=name in texts) for name in self.columns}
        for batch in self._select([name for name in self.columns if name not in texts]):
            for name, values in zip(batch.schema.names, batch.columns, strict=True):
                if not held[name].text:
                    held[name] |= _Held.by(values)
        return pa.schema([(name, one.type) for name, one in held.items()])

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows of some columns, in the file's order, as text."""
        wanted = set(columns)
        yield from self._select([name for name in self.columns if name in wanted])

    def whole_batches(self) -> Iterator[pa.RecordBatch]:
        """All columns, in the types of `schema`."""
        schema = self.schema
        for batch in self._select(self.columns):
            yield batch.cast(schema)

    def _select(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        if not columns:
            return
        chosen = ", ".join(map(self._column, columns))
        rows = max(1, min(_MOST_ROWS, _BATCH_VALUES // max(1, len(columns))))
        with self._connected() as (connection, source):
            reader = connection.sql(f"SELECT {chosen} FROM {source}").to_arrow_reader(rows)
            for batch in reader:
                yield batch.rename_columns(list(columns))

    def _column(self, name: str) -> str:
        """DuckDB's name of a column: to SQL names in other letter case are one."""
        return f"column_{self._places[name]}"

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self.columns)}

    @contextmanager
    def _connected(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
        # Said in full: guessing passes over lines that do not fit.
        columns = ", ".join(
            f"{_text(f'column_{at}')}: 'VARCHAR'" for at in range(len(self.columns))
        )
        options = {
            "columns": f"{{{columns}}}",
            "header": "true",
            "delim": "','",
            "quote": "'\"'",
            "escape": "'\"'",
            "auto_detect": "false",
            "max_line_size": str(_LONGEST_LINE),
            "nullstr": f"[{', '.join(map(_text, NULLS))}]",
        }
        said = ", ".join(f"{name} = {value}" for name, value in options.items())
        with ExitStack() as stack, self._readable():
            path = stack.enter_context(spooled(self.path))
            connection = stack.enter_context(scratch_connection(_MEMORY))
            # Each thread takes memory for every column, and there may be thousands.
            connection.execute("SET threads = 1")
            yield connection, f"read_csv({_text(str(path))}, {said})"

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
            reason = getattr(error, "strerror", None) or " ".join(
                str(error).partition("Possible fixes")[0].split()
            )
            msg = f"{self.path} cannot be read as CSV ({reason}); expected commas and UTF-8"
            raise MeasurementError(msg) from error


@dataclass(frozen=True)
class _Held:
    """What a column holds: whole numbers, some of them wide, other numbers, text."""

    whole: bool = False
    wide: bool = False
    other: bool = False
    text: bool = False

    @classmethod
    def by(cls, values: pa.Array) -> _Held:
        """By an array of text."""
        there = values.drop_null()
        is_whole = pc.match_substring_regex(there, _WHOLE)
        whole = _numbers(there.filter(is_whole), pa.int64())
        others = there.filter(pc.invert(is_whole))
        if whole is None or not _are_floats(others):
            return cls(text=True)
        return cls(whole=len(whole) > 0, wide=_are_wide(whole), other=len(others) > 0)

    @property
    def type(self) -> pa.DataType:
        """The type that holds all of it exactly."""
        if self.text or (self.wide and self.other) or not (self.whole or self.other):
            return pa.string()
        return pa.float64() if self.other else pa.int64()

    def __or__(self, more: _Held) -> _Held:
        return _Held(
            whole=self.whole or more.whole,
            wide=self.wide or more.wide,
            other=self.other or more.other,
            text=self.text or more.text,
        )


def _numbers(texts: pa.Array, kind: pa.DataType) -> pa.Array | None:
    try:
        return pc.cast(texts, kind)
    except pa.ArrowInvalid:
        return None


def _are_wide(numbers: pa.Array) -> bool:
    ends = pc.min_max(numbers).as_py()
    return len(numbers) > 0 and (ends["min"] < -_EXACT or ends["max"] > _EXACT)


def _are_floats(texts: pa.Array) -> bool:
    """Whether they are numbers, none of digits too large for one."""
    if pc.any(pc.match_substring_regex(texts, _NAME)).as_py():
        return False
    numbers = _numbers(texts, pa.float64())
    if numbers is None:
        return False
    infinite = texts.filter(pc.is_inf(numbers))
    return not pc.any(pc.match_substring_regex(infinite, "[0-9]")).as_py()


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
