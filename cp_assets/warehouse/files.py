"""Parquet files of one partition write: bounded in size, with field ids, opaque in name."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.conversions import to_bytes
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.typedef import Record
from pyiceberg.types import StringType

from cp_assets.warehouse.partitions import FINGERPRINT_KEY, REJECTED_KEY
from cp_assets.warehouse.schemas import annotated_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyiceberg.io import OutputStream
    from pyiceberg.table import Table

    from cp_assets.warehouse.spec import TableSpec

FILE_BYTES = 128 * 2**20
"""Compressed bytes after which a partition goes on in a new data file.

Until a file is closed, pyarrow keeps its footer in memory, some 1.4 kB for each column of each row
group: that is 9 MB for crops and 100 MB for profiles of 8,000 columns.
"""

_BLOOM_FILTER = {"ndv": 1024, "fpp": 0.01}
"""Of a row group: some hundred objects, each of which may be looked for."""

FILE_CHUNKS = 12_000
"""Column chunks after which a new data file begins too: pixels that compress to nothing would
otherwise make thousands of row groups before a file is large."""

_SMALLEST_ROW_GROUP = 0.25
"""Share of a row group below which rows wait for the next batch: the last batch of a site may be a
few rows, and a row group of them costs as many column chunks as any other."""

_DICTIONARY_TYPES = (pa.string(), pa.int64(), pa.int32())


@dataclass
class _OpenFile:
    path: str
    stream: OutputStream
    parquet: pq.ParquetWriter
    partition: tuple[str, ...]
    schema: pa.Schema
    rows: int = 0
    row_groups: int = 0

    @property
    def is_large(self) -> bool:
        chunks = self.row_groups * sum(_leaves(one.type) for one in self.schema)
        return self.stream.tell() > FILE_BYTES or chunks > FILE_CHUNKS


@dataclass
class PartitionFiles:
    """Writes a stream of record batches as data files of one table.

    Whole batches are gathered into row groups of at most `TableSpec.row_group_bytes`, or of one
    batch that is larger and the little that came before it. A new file begins when the partition
    value or the columns change, or when the file is large. Each file notes the fingerprint, and how
    many entries the books have when it is closed.

    Attributes
    ----------
    write_id
        First part of all files' names; rows are read in the order of names.
    """

    table: Table
    spec: TableSpec
    fingerprint: str
    rejected: Callable[[], int] | None = None
    write_id: str = field(default_factory=lambda: f"{time.time_ns():x}-{uuid.uuid4().hex}")
    written: list[DataFile] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    _open: _OpenFile | None = None
    _pending: list[pa.RecordBatch] = field(default_factory=list)
    _pending_bytes: int = 0

    def add(self, batch: pa.RecordBatch, size: int) -> None:
        """Take one batch of so many bytes; its partition columns are constant."""
        if not batch.num_rows:
            return
        partition = tuple(str(batch[name][0]) for name in self.spec.partition_columns)
        if self._open is not None and not self._continues(self._open, batch, partition):
            self._close()
        limit = self.spec.row_group_bytes
        is_full = self._pending_bytes + size > limit
        if is_full and self._pending_bytes > limit * _SMALLEST_ROW_GROUP:
            self._flush()
            if self._open is not None and self._open.is_large:
                self._close()
        if self._open is None:
            self._start(batch.schema, partition)
        self._pending.append(batch)
        self._pending_bytes += size

    def finish(self) -> list[DataFile]:
        """Close the last file and return all data files, in the order of their rows."""
        self._close()
        return self.written

    def discard(self) -> None:
        """Remove all files of this write; for a write that failed."""
        if self._open is not None:
            _close_quietly(self._open)
            self._open = None
        for path in self.paths:
            try:
                self.table.io.delete(path)
            except OSError:
                # Never named by a snapshot: maintenance removes what could not be removed here.
                continue

    @staticmethod
    def _continues(file: _OpenFile, batch: pa.RecordBatch, partition: tuple[str, ...]) -> bool:
        return file.partition == partition and file.schema.equals(batch.schema)

    def _start(self, schema: pa.Schema, partition: tuple[str, ...]) -> None:
        path = f"{self.table.location()}/data/{self.write_id}-{len(self.paths):05d}.parquet"
        self.paths.append(path)
        # Nobody else has this name: no need to ask whether it is taken.
        stream = self.table.io.new_output(path).create(overwrite=True)
        fields = annotated_schema(self.table.schema())
        annotated = pa.schema([fields.field(name) for name in schema.names])
        parquet = pq.ParquetWriter(stream, annotated, **parquet_options(self.spec, schema))
        self._open = _OpenFile(path, stream, parquet, partition, schema)

    def _flush(self) -> None:
        if self._open is None or not self._pending:
            return
        rows = pa.Table.from_batches(self._pending)
        self._open.parquet.write_table(rows, row_group_size=max(1, rows.num_rows))
        self._open.rows += rows.num_rows
        self._open.row_groups += 1
        self._pending, self._pending_bytes = [], 0
        # A row group takes several times its bytes, of which the pool would keep more and more.
        pa.default_memory_pool().release_unused()

    def _close(self) -> None:
        self._flush()
        if self._open is None:
            return
        done, self._open = self._open, None
        notes = {FINGERPRINT_KEY: self.fingerprint.encode()}
        if self.rejected is not None:
            notes[REJECTED_KEY] = str(self.rejected()).encode()
        try:
            done.parquet.add_key_value_metadata(notes)
            done.parquet.close()
        finally:
            done.stream.close()
        size = len(self.table.io.new_input(done.path))
        self.written.append(_data_file(self.table, self.spec, done, size))


def _leaves(kind: pa.DataType) -> int:
    """How many columns of Parquet a column of this type is."""
    if pa.types.is_struct(kind):
        return sum(_leaves(kind.field(i).type) for i in range(kind.num_fields))
    return _leaves(kind.value_type) if pa.types.is_list(kind) else 1


def _close_quietly(unfinished: _OpenFile) -> None:
    """Close a file of a failed write; its error has been raised already."""
    for closable in (unfinished.parquet, unfinished.stream):
        try:
            closable.close()
        except (OSError, pa.ArrowException, ValueError):
            continue


def parquet_options(spec: TableSpec, schema: pa.Schema) -> dict[str, object]:
    """How `pq.ParquetWriter` stores files of a table that have these columns."""
    # Statistics and dictionaries only where they prune or shrink: thousands of feature columns of
    # random doubles gain from neither, and their statistics would fill the footer.
    keys = [
        f.name for f in schema if f.type in _DICTIONARY_TYPES or f.name in spec.partition_columns
    ]
    return {
        "compression": spec.codec,
        "compression_level": spec.zstd_level if spec.codec == "zstd" else None,
        "use_dictionary": keys,
        "write_statistics": keys,
        "store_schema": False,
        "write_page_index": True,
        # For engines that look up a value themselves; a few kB a row group.
        "bloom_filter_options": dict.fromkeys(spec.lookup_columns, _BLOOM_FILTER),
    }


def _data_file(table: Table, spec: TableSpec, done: _OpenFile, size: int) -> DataFile:
    """Describe a finished file, with bounds on the partition columns only.

    Iceberg's check for conflicting commits reads column bounds, not partition values: without full
    bounds on these columns writers of different plates would fail each other.
    """
    schema = table.schema()
    bounds: dict[int, bytes] = {}
    for name, value in zip(spec.partition_columns, done.partition, strict=True):
        bounds[schema.find_field(name).field_id] = to_bytes(StringType(), value)
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=done.path,
        file_format=FileFormat.PARQUET,
        partition=Record(*done.partition),
        record_count=done.rows,
        file_size_in_bytes=size,
        column_sizes={},
        value_counts=dict.fromkeys(bounds, done.rows),
        null_value_counts=dict.fromkeys(bounds, 0),
        nan_value_counts={},
        lower_bounds=bounds,
        upper_bounds=bounds,
        key_metadata=None,
        split_offsets=None,
        equality_ids=None,
        sort_order_id=None,
        spec_id=table.spec().spec_id,
    )
