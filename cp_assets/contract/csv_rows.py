"""CSV files of any size as a stream: keys as text, everything else as what all its values are."""

from __future__ import annotations

import csv
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

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

_MOST_ROWS = 65_536
_MEMORY = 2**30
"""Most bytes for DuckDB's reader, which takes them where there are thousands of columns."""

_LONGEST_LINE = 2 * 2**20


@dataclass(frozen=True)
class CsvRows:
    """A CSV file with a header, in UTF-8, plain or (``.gz``) compressed."""

    path: Place

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
        repeated = [name for name, times in Counter(header).items() if times > 1]
        if repeated:
            msg = f"{self.path} has the column {repeated[0]!r} twice; expected each column once"
            raise MeasurementError(msg)
        return header

    @cached_property
    def schema(self) -> pa.Schema:
        """Whole numbers, numbers or text, as all values of a column are; reads the whole file.

        What begins with a zero is text: it is a name and no number. So is a column without values.
        """
        kinds: dict[str, pa.DataType | None] = dict.fromkeys(self.columns)
        for batch in self._select(self.columns):
            for name, values in zip(self.columns, batch.columns, strict=True):
                kinds[name] = _kind(values, kinds[name])
        return pa.schema([(name, kind or pa.string()) for name, kind in kinds.items()])

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


def _kind(values: pa.Array, known: pa.DataType | None) -> pa.DataType | None:
    """The narrowest type that these texts are of, and those before; None where there is none."""
    if values.null_count == len(values) or known == pa.string():
        return known
    if pc.any(pc.match_substring_regex(values, _NAME)).as_py():
        return pa.string()
    for kind in (pa.int64(), pa.float64()):
        if known in (None, pa.int64(), kind):
            try:
                pc.cast(values, kind)
            except pa.ArrowInvalid:
                continue
            return pa.float64() if known == pa.float64() else kind
    return pa.string()


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
