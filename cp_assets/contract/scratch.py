"""A DuckDB of one's own, for what may be larger than memory, and streams for it to read."""

from __future__ import annotations

import os
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from cp_assets.errors import CpAssetsError
from cp_assets.stores.spool import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_MEMORY = 384 * 2**20
"""Bytes that DuckDB may take before it spills to the scratch folder."""

_MOST_THREADS = 4


@contextmanager
def scratch_connection(max_memory: int = MAX_MEMORY) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB in bounded memory; what it spills is gone afterwards.

    In a folder of its own: processes that share one write over each other's files.
    """
    with (
        TemporaryDirectory(prefix="cp_assets-duckdb-", dir=scratch_folder()) as folder,
        duckdb.connect(
            config={
                "temp_directory": folder,
                "memory_limit": f"{max_memory // 2**20}MiB",
                # Each takes memory of its own, of which there is little.
                "threads": min(_MOST_THREADS, os.cpu_count() or 1),
            }
        ) as connection,
    ):
        # Where Python runs without a script DuckDB shows one, on standard output.
        connection.execute("SET enable_progress_bar = false")
        yield connection


@contextmanager
def registered(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
) -> Iterator[str]:
    """Make a stream known to DuckDB under a name, to be read once.

    Raises
    ------
    CpAssetsError
        That of the stream: DuckDB tells of it with a traceback in its text.
    """
    raised: list[CpAssetsError] = []

    def noted() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except CpAssetsError as error:
            raised.append(error)
            raise

    connection.register(name, pa.RecordBatchReader.from_batches(schema, noted()))
    try:
        yield name
    except duckdb.Error:
        if raised:
            raise raised[0] from None
        raise
    finally:
        connection.unregister(name)
