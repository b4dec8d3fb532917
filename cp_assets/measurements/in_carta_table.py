"""IN Carta's export as tables: its image sets as Image, its objects as a compartment."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.datasets.fingerprints import file_state
from cp_assets.measurements.chunks import CHUNK_BYTES, TableChunk, together
from cp_assets.measurements.columns import SOURCE_ROW
from cp_assets.measurements.in_carta import InCartaFile, open_in_carta

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cp_assets.datasets.model import TableFile
    from cp_assets.measurements.chunks import TableName

_IMAGE = "Image"


def read_in_carta_chunks(
    file: TableFile,
    table: TableName,
    overrides: Mapping[str, str] | None = None,
    *,
    chunk_bytes: int | None = CHUNK_BYTES,
    only: Iterable[str] | None = None,
) -> Iterator[TableChunk]:
    """Read the image sets of an export, or its objects in pieces.

    Image sets stand in no row of their own, so their `SOURCE_ROW` is null.

    Parameters
    ----------
    overrides
        Column -> ``float``, ``int`` or ``string`` where the rule is wrong.
    chunk_bytes
        Size of a piece in bytes, about; None for the whole table at once.
    only
        The columns to read; None for all.

    Raises
    ------
    MeasurementError
        If the file is no export of IN Carta.
    InputChangedError
        If the file changes while it is read.
    """
    export = _opened(file, table, overrides)
    if table.compartment == _IMAGE:
        nowhere = pa.nulls(export.image_sets.num_rows, pa.int64())
        yield TableChunk(export.image_sets.append_column(SOURCE_ROW, nowhere), ()).only(only)
        return
    chunks = export.chunks(table, chunk_bytes or CHUNK_BYTES)
    for chunk in chunks if chunk_bytes is not None else [together(chunks)]:
        yield chunk.only(only)


def read_in_carta_types(
    file: TableFile, table: TableName, overrides: Mapping[str, str] | None = None
) -> dict[str, pa.DataType]:
    """Columns of the image sets or objects of an export, with their types.

    Raises
    ------
    MeasurementError
        If the file is no export of IN Carta.
    InputChangedError
        If the file changes while it is read.
    """
    export = _opened(file, table, overrides)
    if table.compartment == _IMAGE:
        return {one.name: one.type for one in export.image_sets.schema}
    return export.types


def _opened(file: TableFile, table: TableName, overrides: Mapping[str, str] | None) -> InCartaFile:
    said = tuple(sorted((overrides or {}).items()))
    name = table.name.removesuffix(f":{file.table}")
    return _looked_through(file, name, said, file_state(file.path))


@lru_cache(maxsize=4)
def _looked_through(
    file: TableFile, name: str, overrides: tuple[tuple[str, str], ...], _state: tuple[int, int]
) -> InCartaFile:
    """Look through a file once for its image sets and its objects, as long as it is unchanged."""
    return open_in_carta(file.path, name, dict(overrides))
