"""A DuckDB of one's own, for what may be larger than memory."""

from __future__ import annotations

from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb

from cp_assets.stores.spool import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MEMORY = 384 * 2**20
"""Bytes that DuckDB may take before it spills to the scratch folder."""


@contextmanager
def scratch_connection(max_memory: int = MAX_MEMORY) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB in bounded memory; what it spills is gone afterwards.

    In a folder of its own: processes that share one write over each other's files.
    """
    with (
        TemporaryDirectory(prefix="cp_assets-duckdb-", dir=scratch_folder()) as folder,
        duckdb.connect(
            config={"temp_directory": folder, "memory_limit": f"{max_memory // 2**20}MiB"}
        ) as connection,
    ):
        yield connection
