"""CSV files of any size as a stream: keys as text, everything else as what all its values are."""

from __future__ import annotations

import csv
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from cp_assets.contract.scratch import scratch_connection
from cp_assets.datasets.csv_files import open_text
from cp_assets.datasets.csv_text import NULLS
from cp_assets.datasets.databases import quoted
from cp_assets.errors import MeasurementError
from cp_assets.stores.spool import spooled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cp_assets.stores import Place

_BATCH_VALUES = 2**22
"""Values of a batch: rows are fewer where there are thousands of columns."""

_WHOLE = "^ *[+-]?[0-9]+ *$"
_MOST_ROWS = 65_536
_LONGEST_LINE = 16 * 2**20


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
        repeated = next((name for name in header if header.count(name) > 1), None)
        if repeated is not None:
            msg = f"{self.path} has the column {repeated!r} twice; expected each column once"
            raise MeasurementError(msg)
        return header

    @cached_property
    def schema(self) -> pa.Schema:
        """Whole numbers, numbers or text, as all values of a column are; reads the whole file.

        What begins with a zero is text: it is a name and no number. So is a column without values.
        """
        found = self._figures()
        kinds = {"BIGINT": pa.int64(), "DOUBLE": pa.float64(), "VARCHAR": pa.string()}
        return pa.schema([(name, kinds[kind]) for name, kind in found.items()])

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows of some columns, in the file's order, as text."""
        there = [name for name in self.columns if name in set(columns)]
        yield from self._select(dict.fromkeys(there, "VARCHAR"))

    def whole_batches(self) -> Iterator[pa.RecordBatch]:
        """All columns, in the types of `schema`."""
        names = {pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.string(): "VARCHAR"}
        yield from self._select({field.name: names[field.type] for field in self.schema})

    def _select(self, kinds: dict[str, str]) -> Iterator[pa.RecordBatch]:
        chosen = ", ".join(
            f"CAST({self._column(name)} AS {kind}) AS {self._column(name)}"
            for name, kind in kinds.items()
        )
        rows = max(1, min(_MOST_ROWS, _BATCH_VALUES // max(1, len(kinds))))
        with self._connected() as (connection, source):
            reader = connection.sql(f"SELECT {chosen} FROM {source}").to_arrow_reader(rows)
            for batch in reader:
                yield batch.rename_columns(list(kinds))

    def _figures(self) -> dict[str, str]:
        """Column -> DuckDB's type that all its values are of."""
        tried = ", ".join(
            # A cast alone would round 1.5.
            f"count({column}) = count(TRY_CAST({column} AS BIGINT)) "
            f"AND bool_and(regexp_matches({column}, '{_WHOLE}')), "
            f"count({column}) = count(TRY_CAST({column} AS DOUBLE)) AND count({column}) > 0, "
            f"count(*) FILTER (regexp_matches({column}, '^[+-]?0[0-9]')) > 0"
            for column in map(self._column, self.columns)
        )
        with self._connected() as (connection, source):
            told = connection.sql(f"SELECT {tried} FROM {source}").fetchall()[0]
        found = {}
        for at, name in enumerate(self.columns):
            whole, number, named = told[3 * at : 3 * at + 3]
            found[name] = "VARCHAR" if named or not number else "BIGINT" if whole else "DOUBLE"
        return found

    def _column(self, name: str) -> str:
        """DuckDB's name of a column: to SQL names in other letter case are one."""
        return quoted(f"column_{self.columns.index(name)}")

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
            connection = stack.enter_context(scratch_connection())
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


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
