"""One way to read a measurement table, whatever it lies in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.errors import ConfigurationError
from cp_assets.measurements.chunks import CHUNK_BYTES, TableChunk
from cp_assets.measurements.columns import IMAGE_SET_KEYS
from cp_assets.measurements.combined_csv import CombinedCsvTable
from cp_assets.measurements.csv_table import CsvTable
from cp_assets.measurements.deepprofiler_table import DeepProfilerTable
from cp_assets.measurements.in_carta_table import InCartaTable
from cp_assets.measurements.parquet_table import ParquetTable
from cp_assets.measurements.sqlite_table import SqliteTable
from cp_assets.measurements.table_rules import TableName

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    import pyarrow as pa

    from cp_assets.datasets.model import MeasurementFolder
    from cp_assets.datasets.presets import Container
    from cp_assets.measurements.table_source import TableSource

_SOURCES: Mapping[Container, type[TableSource]] = {
    "file": CsvTable,
    "database": SqliteTable,
    "combined-csv": CombinedCsvTable,
    "in-carta": InCartaTable,
    "deepprofiler": DeepProfilerTable,
}
"""EDIT HERE for a new dialect: how the tables of its container are read."""

_FILES: Mapping[str, type[TableSource]] = {".parquet": ParquetTable}
"""Of files that are a table each, those that are no CSV, by their ending."""


def table_source(
    folder: MeasurementFolder, compartment: str, overrides: Mapping[str, str] | None = None
) -> TableSource:
    """A compartment's table, which is not opened yet.

    Parameters
    ----------
    overrides
        Column -> ``float``, ``int`` or ``string`` where the rule by name is wrong.

    Raises
    ------
    ConfigurationError
        If they say that a column that identifies rows is no whole number.
    """
    for key in (*IMAGE_SET_KEYS, "ObjectNumber"):
        said = (overrides or {}).get(key, "int")
        if said != "int":
            msg = (
                f"column_types: {key} is {said}; expected int, since it identifies rows. Leave it "
                "out: a TableNumber of another kind becomes a number by itself"
            )
            raise ConfigurationError(msg)
    file, container = folder.tables[compartment], folder.preset.container
    name = folder.relative_file(compartment)
    table = TableName(name, compartment, folder.preset, file.beside)
    source = _SOURCES[container]
    if container == "file":
        source = _FILES.get(file.path.suffix.lower(), source)
    return source(file, table, overrides or {})


def read_table(
    folder: MeasurementFolder, compartment: str, overrides: Mapping[str, str] | None = None
) -> TableChunk:
    """Read a whole table; for Image tables, which are small and may hold line breaks."""
    # All of it, although there is one piece: after the last the file is held to be unchanged.
    (table,) = read_chunks(folder, compartment, overrides, chunk_bytes=None)
    return table


def read_chunks(
    folder: MeasurementFolder,
    compartment: str,
    overrides: Mapping[str, str] | None = None,
    *,
    chunk_bytes: int | None = CHUNK_BYTES,
    only: Collection[str] | None = None,
) -> Iterator[TableChunk]:
    """Read a compartment's table in pieces, see `TableSource.chunks`."""
    return table_source(folder, compartment, overrides).chunks(chunk_bytes, only)


def read_types(
    folder: MeasurementFolder, compartment: str, overrides: Mapping[str, str] | None = None
) -> dict[str, pa.DataType]:
    """Columns of a compartment's table with their types, see `TableSource.types`."""
    return table_source(folder, compartment, overrides).types()
