"""Parquet files of a root's table: written from a stream, each with all of the table's columns.

Engines that look at one file for the columns of a folder then see all of them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from cp_assets.errors import WarehouseRootError
from cp_assets.warehouse.files import FILE_BYTES, parquet_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from cp_assets.warehouse.spec import TableSpec

BATCH_BYTES = 8 * 2**20
"""Of rows that are read at once, about, uncompressed."""

_MOST_ROWS = 65_536


@dataclass(frozen=True)
class Part:
    """A Parquet file that has been written."""

    path: Path
    rows: int


@dataclass
class PartWriter:
    """Writes rows into files of bounded size, with bounded memory.

    Parameters
    ----------
    folder
        Where; is made.
    stem
        What the files' names begin with.
    schema
        Columns of every file. Rows are brought into it: columns that they lack are null.
    spec
        How files are stored.
    """

    folder: Path
    stem: str
    schema: pa.Schema
    spec: TableSpec
    parts: list[Part] = field(default_factory=list)
    _writer: pq.ParquetWriter | None = None
    _stream: pa.NativeFile | None = None
    _rows: int = 0
    _pending: list[pa.RecordBatch] = field(default_factory=list)
    _pending_bytes: int = 0

    def write(self, batches: Iterable[pa.RecordBatch]) -> list[Part]:
        """Write all rows; no file where there are none."""
        try:
            for batch in batches:
                self._add(conform(batch, self.schema))
            self._close()
        except BaseException:
            self._abandon()
            raise
        return self.parts

    def write_empty(self) -> list[Part]:
        """Write one file without rows: the columns alone."""
        self._open()
        self._close()
        return self.parts

    def _add(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        if self._pending and self._pending_bytes + batch.nbytes > self.spec.row_group_bytes:
            self._flush()
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes

    def _flush(self) -> None:
        if not self._pending:
            return
        writer, stream = self._open()
        rows = pa.Table.from_batches(self._pending, self.schema)
        writer.write_table(rows, row_group_size=rows.num_rows)
        self._rows += rows.num_rows
        self._pending, self._pending_bytes = [], 0
        if stream.tell() > FILE_BYTES:
            self._close()

    def _open(self) -> tuple[pq.ParquetWriter, pa.NativeFile]:
        if self._writer is None or self._stream is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._stream = pa.OSFile(str(self._path()), "wb")
            options = parquet_options(self.spec, self.schema)
            self._writer = pq.ParquetWriter(self._stream, self.schema, **options)
        return self._writer, self._stream

    def _path(self) -> Path:
        return self.folder / f"{self.stem}-{len(self.parts):05d}.parquet"

    def _close(self) -> None:
        self._flush()
        if self._writer is None or self._stream is None:
            return
        self._writer.close()
        self._stream.close()
        _to_disk(self._path())
        self.parts.append(Part(self._path(), self._rows))
        self._writer, self._stream, self._rows = None, None, 0

    def _abandon(self) -> None:
        """Let go of the open file: its folder is removed by whoever made it."""
        if self._stream is not None:
            self._stream.close()


def _to_disk(path: Path) -> None:
    """See that a file's bytes outlive the machine: the manifest will name it."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Rows with exactly these columns: nulls for those that are missing, others left out."""
    if batch.schema.equals(schema):
        return batch
    place = {name: number for number, name in enumerate(batch.schema.names)}
    arrays = []
    for one in schema:
        at = place.get(one.name)
        if at is None:
            arrays.append(pa.nulls(batch.num_rows, one.type))
        else:
            array = batch.column(at)
            arrays.append(array if array.type == one.type else array.cast(one.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The columns without metadata, all nullable, categories as their values."""
    return pa.schema([pa.field(one.name, _plain(one.type)) for one in schema])


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def united_schema(first: pa.Schema, second: pa.Schema, where: str) -> pa.Schema:
    """Columns of both; a whole number beside a real one becomes real.

    Raises
    ------
    WarehouseRootError
        If a column has two types that do not go together.
    """
    try:
        return pa.unify_schemas([first, second], promote_options="permissive")
    except pa.ArrowTypeError as error:
        kinds = {one.name: one.type for one in first}
        clash = next(
            (
                f"column {one.name} is {one.type}, and {kinds[one.name]} in the root"
                for one in second
                if kinds.get(one.name, one.type) != one.type
            ),
            str(error),
        )
        msg = f"{where}: {clash}; replace the table, or export to another name"
        raise WarehouseRootError(msg) from error


def parquet_batches(
    parquet: pq.ParquetFile, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Rows of a Parquet file, few at a time where rows are large."""
    footer = parquet.metadata
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        row_bytes = max(1, group.total_byte_size // max(1, group.num_rows))
        rows = max(1, min(_MOST_ROWS, BATCH_BYTES // row_bytes))
        yield from parquet.iter_batches(batch_size=rows, row_groups=[number], columns=columns)


def footer(path: Path) -> tuple[pa.Schema, int]:
    """Columns and number of rows of a Parquet file of a root.

    Raises
    ------
    WarehouseRootError
        If it is none, or is gone.
    """
    try:
        with pq.ParquetFile(path) as parquet:
            return plain_schema(parquet.schema_arrow), int(parquet.metadata.num_rows)
    except (OSError, pa.ArrowException) as error:
        why = str(error).partition("\n")[0]
        msg = f"{path}: cannot be read as Parquet ({why}); restore it, or replace the table"
        raise WarehouseRootError(msg) from error
