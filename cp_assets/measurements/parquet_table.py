"""A Parquet file of its own, by the same rules as the other dialects."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.datasets.fingerprints import unchanged
from cp_assets.datasets.parquet_files import open_parquet
from cp_assets.errors import MeasurementError
from cp_assets.measurements.chunks import (
    CHUNK_BYTES,
    Sieve,
    TableChunk,
    in_books,
    numbered,
    with_whole_numbers,
    without_null_words,
    without_rows,
)
from cp_assets.measurements.columns import SOURCE_ROW
from cp_assets.measurements.table_rules import TableRules, table_rules
from cp_assets.measurements.table_source import TableSource
from cp_assets.measurements.text_of_numbers import text_of_numbers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import pyarrow.parquet as pq

_LARGEST_BATCH = 2**20
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_NUMBERS = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_decimal,
    pa.types.is_null,
)


@dataclass(frozen=True)
class ParquetTable(TableSource):
    """A Parquet file; NaN is null, and so are the words that are null in CSV files."""

    def types(self) -> dict[str, pa.DataType]:
        """By the names alone, whatever the file's own types."""
        if self.file.path.stat().st_size == 0:
            return {}
        with self._readable(), open_parquet(self.file.path) as file:
            header = file.schema_arrow.names
        return table_rules(self.table, header, self.overrides).types

    def chunks(
        self, chunk_bytes: int | None = CHUNK_BYTES, only: Collection[str] | None = None
    ) -> Iterator[TableChunk]:
        """Of at most `_LARGEST_BATCH` rows; an error if a column holds lists or structs."""
        with unchanged(self.file.path):
            if self.file.path.stat().st_size == 0:
                yield without_rows(self.table, "empty_file", "the file has 0 bytes")
                return
            with self._readable(), open_parquet(self.file.path) as file:
                rules = table_rules(self.table, file.schema_arrow.names, self.overrides, only)
                told = "the file has columns and no row"
                nothing = without_rows(self.table, "header_only", told)
                chunks = _chunks(rules, _stored_rows(file, rules, chunk_bytes))
                yield from in_books(chunks, rules.columns_left_out(), nothing)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            name = self.table.name
            msg = f"{name} cannot be read as Parquet ({error}); copy or export it again"
            raise MeasurementError(msg) from error


def _stored_rows(
    file: pq.ParquetFile, rules: TableRules, chunk_bytes: int | None
) -> Iterator[pa.Table]:
    """Rows as the file has them, of the columns that are read."""
    stored = list(rules.stored)
    if not chunk_bytes:
        yield file.read(columns=stored).select(stored)
        return
    rows = min(_LARGEST_BATCH, rules.rows_in(chunk_bytes))
    for batch in file.iter_batches(rows, columns=stored):
        yield pa.Table.from_batches([batch]).select(stored)


def _chunks(rules: TableRules, tables: Iterable[pa.Table]) -> Iterator[TableChunk]:
    rows_before = 0
    for table in tables:
        if table.num_rows:
            named = table.rename_columns(list(rules.stored.values()))
            yield _typed(rules, numbered(named, rows_before))
            rows_before += table.num_rows


def _typed(rules: TableRules, rows: pa.Table) -> TableChunk:
    sieve = Sieve(rules, rows[SOURCE_ROW])
    named = dict(zip(rows.column_names, rows.columns, strict=True))
    for column in rules.stored.values():
        named[column] = _converted(column, _plain(column, named[column], rules), sieve)
    kept = pa.table(named).filter(pa.array(sieve.good))
    return with_whole_numbers(rules, rules.complete(kept), sieve.faults)


def _plain(column: str, values: pa.ChunkedArray, rules: TableRules) -> pa.ChunkedArray:
    """Values themselves where the file has numbers that stand for them; text as one type.

    Raises
    ------
    MeasurementError
        If they are neither numbers nor text; names the column.
    """
    if pa.types.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    stored = values.type
    if any(is_text(stored) for is_text in _TEXTS):
        return pc.cast(values, pa.string())
    is_other = not any(is_plain(stored) for is_plain in _NUMBERS)
    if pa.types.is_nested(stored) or (is_other and rules.kinds[column] != "string"):
        say = "" if pa.types.is_nested(stored) else ", or say under column_types that it is string"
        msg = (
            f"{rules.table.name}: column {column} holds {stored}; expected numbers or text. "
            f"Leave it out of the file{say}"
        )
        raise MeasurementError(msg)
    return values


def _converted(column: str, values: pa.ChunkedArray, sieve: Sieve) -> pa.ChunkedArray:
    """Values in the type of the column's name; integers may stay float64."""
    kind, stored = sieve.rules.kinds[column], values.type
    if kind == "string":
        if pa.types.is_floating(stored):
            return text_of_numbers(values)
        return without_null_words(pc.cast(values, pa.string()))
    if pa.types.is_string(stored):
        return sieve.numbers_of_text(column, values)
    if pa.types.is_decimal(stored):
        # Of more digits than a float64 has.
        return sieve.numbers_of_text(column, pc.cast(values, pa.string()))
    if kind == "int" and stored == pa.uint64():
        wrong = pc.greater(values, 2**63 - 1)
        sieve.take_no_whole(column, values, pc.fill_null(wrong, False).to_numpy())
        values = pc.if_else(wrong, None, values)
    if kind == "int" and pa.types.is_integer(stored):
        return pc.cast(values, pa.int64())
    if pa.types.is_boolean(stored):
        values = pc.cast(values, pa.int8())
    numbers = pc.cast(values, pa.float64(), safe=False)
    # pandas writes what is missing as NaN.
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
