"""One way to read a measurement table, whatever it lies in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.measurements.chunks import CHUNK_BYTES, TableChunk, TableName
from cp_assets.measurements.columns import column_type
from cp_assets.measurements.combined_csv import read_combined_chunks, read_combined_columns
from cp_assets.measurements.csv_table import read_csv_chunks, read_csv_header
from cp_assets.measurements.deepprofiler_table import (
    read_deepprofiler_table,
    read_deepprofiler_types,
)
from cp_assets.measurements.in_carta_table import read_in_carta_chunks, read_in_carta_types
from cp_assets.measurements.parquet_table import read_parquet_chunks, read_parquet_header
from cp_assets.measurements.sqlite_table import read_sqlite_chunks, read_sqlite_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pyarrow as pa

    from cp_assets.datasets.model import MeasurementFolder, TableFile


def read_table(
    folder: MeasurementFolder, compartment: str, overrides: Mapping[str, str] | None = None
) -> TableChunk:
    """Read a whole table; for Image tables, which are small and may hold line breaks.

    Takes and raises what `read_chunks` does.
    """
    # All of it, although there is one piece: after the last the file is held to be unchanged.
    (table,) = read_chunks(folder, compartment, overrides, chunk_bytes=None)
    return table


def read_chunks(
    folder: MeasurementFolder,
    compartment: str,
    overrides: Mapping[str, str] | None = None,
    *,
    chunk_bytes: int | None = CHUNK_BYTES,
    only: Iterable[str] | None = None,
) -> Iterator[TableChunk]:
    """Read a compartment's table in its stored order, in pieces, at least one.

    Parameters
    ----------
    overrides
        Column -> ``float``, ``int`` or ``string`` where the rule by name is wrong.
    chunk_bytes
        Size of a piece in bytes; None for the whole table at once.
    only
        The columns to read, by CellProfiler's names; None for all.

    Raises
    ------
    MeasurementError
        If the table cannot be read, lacks a key column or repeats a column.
    InputChangedError
        If its file changes while it is read.
    """
    file, table = folder.tables[compartment], _table_name(folder, compartment)
    if folder.preset.container == "combined-csv":
        yield from read_combined_chunks(file, table, overrides, chunk_bytes=chunk_bytes, only=only)
        return
    if folder.preset.container == "in-carta":
        yield from read_in_carta_chunks(file, table, overrides, chunk_bytes=chunk_bytes, only=only)
        return
    if folder.preset.container == "deepprofiler":
        yield read_deepprofiler_table(file, table, only)
        return
    if file.table is not None:
        yield from read_sqlite_chunks(file, table, overrides, chunk_bytes=chunk_bytes, only=only)
        return
    read = read_parquet_chunks if _is_parquet(folder, compartment) else read_csv_chunks
    yield from read(file.path, table, overrides, chunk_bytes=chunk_bytes, only=only)


def read_types(
    folder: MeasurementFolder, compartment: str, overrides: Mapping[str, str] | None = None
) -> dict[str, pa.DataType]:
    """Columns of a compartment's table with their types; none of a file of 0 bytes.

    Parameters
    ----------
    overrides
        Column -> ``float``, ``int`` or ``string`` where the rule by name is wrong.

    Raises
    ------
    MeasurementError
        If the table cannot be read, lacks a key column or repeats a column.
    """
    file, table = folder.tables[compartment], _table_name(folder, compartment)
    if folder.preset.container == "in-carta":
        return read_in_carta_types(file, table, overrides)
    if folder.preset.container == "deepprofiler":
        return read_deepprofiler_types(file, table)
    names = _columns(folder, file, table)
    return {name: column_type(name, overrides) for name in names}


def _columns(folder: MeasurementFolder, file: TableFile, table: TableName) -> list[str]:
    """Columns by CellProfiler's names, which say what they hold."""
    if folder.preset.container == "combined-csv":
        return read_combined_columns(file, table)
    if file.table is not None:
        return read_sqlite_header(file, table)
    if _is_parquet(folder, table.compartment):
        return read_parquet_header(file.path, table)
    return read_csv_header(file.path, table)


def _table_name(folder: MeasurementFolder, compartment: str) -> TableName:
    name, beside = folder.relative_file(compartment), folder.tables[compartment].beside
    return TableName(name, compartment, folder.preset, beside)


def _is_parquet(folder: MeasurementFolder, compartment: str) -> bool:
    return folder.tables[compartment].path.suffix.lower() == ".parquet"
