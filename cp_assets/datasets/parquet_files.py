"""Opening Parquet files, of a disk or of a store."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cp_assets.stores import Place


@contextmanager
def open_parquet(path: Place, buffer_size: int = 0) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file.

    Parameters
    ----------
    buffer_size
        Bytes that are read at once of each column; 0 for the column of a whole row group.

    Raises
    ------
    pyarrow.ArrowInvalid
        If it is none.
    FileNotFoundError
        If there is none.
    """
    # Of a file on a disk pyarrow reads without asking Python.
    source = path.open("rb") if isinstance(path, ObjectPath) else path
    with pq.ParquetFile(source, buffer_size=buffer_size) as file:
        yield file
