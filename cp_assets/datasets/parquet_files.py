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
def open_parquet(path: Place) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file.

    Raises
    ------
    pyarrow.ArrowInvalid
        If it is none.
    FileNotFoundError
        If there is none.
    """
    # Of a file on a disk pyarrow reads without asking Python.
    source = path.open("rb") if isinstance(path, ObjectPath) else path
    with pq.ParquetFile(source) as file:
        yield file
