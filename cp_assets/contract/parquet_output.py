"""A Parquet file that is there when all of it is."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from cp_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_ROW_GROUP_BYTES = 64 * 2**20


@contextmanager
def parquet_output(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """Write batches beside a path, and put the file in its place at the end; gives the writer.

    Raises
    ------
    ConfigurationError
        If the path's folder cannot be written to.
    """
    unfinished = path.with_name(f".{path.name}-{uuid4().hex}.partial")
    opened = _opened(path, unfinished, schema)
    try:
        with opened as file:
            gathered = _RowGroups(file)
            yield gathered.add
            gathered.flush()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _opened(path: Path, unfinished: Path, schema: pa.Schema) -> pq.ParquetWriter:
    reason = "it is a folder" if path.is_dir() else "no such folder"
    if path.parent.is_dir() and not path.is_dir():
        try:
            return pq.ParquetWriter(unfinished, schema, compression="zstd")
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
    msg = f"output {path} cannot be written ({reason}); name a file in a folder that is there"
    raise ConfigurationError(msg)


class _RowGroups:
    """Gathers batches into row groups."""

    def __init__(self, file: pq.ParquetWriter) -> None:
        self._file = file
        self._waiting: list[pa.RecordBatch] = []
        self._size = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch."""
        self._waiting.append(batch)
        self._size += batch.nbytes
        if self._size > _ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            rows = pa.Table.from_batches(self._waiting)
            self._file.write_table(rows, row_group_size=max(1, rows.num_rows))
        self._waiting, self._size = [], 0
