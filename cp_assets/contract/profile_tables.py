"""Tables to hold against the contract, wherever they lie: opened by name, read as a stream."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from cp_assets.contract.csv_rows import CsvRows
from cp_assets.contract.names import check_distinct
from cp_assets.datasets.parquet_files import open_parquet
from cp_assets.errors import ConfigurationError, CpAssetsError, MeasurementError, NoSuchTableError
from cp_assets.stores import ObjectPath, place
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import pyarrow.parquet as pq

    from cp_assets.stores import Place, StoreSettings

PARQUET = (".parquet", ".pq", ".parq")
CSV = (".csv", ".csv.gz")
EXPECTED = "Parquet (.parquet, .pq), CSV (.csv, .csv.gz) or a folder of Parquet files"

_BATCH_BYTES = 32 * 2**20
_BATCH_ROWS = 65_536
_BUFFER_BYTES = 64 * 2**20
"""For all columns of an open file together: a row group may be larger than memory."""


class Rows(Protocol):
    """Rows that can be read as often as one likes."""

    @property
    def name(self) -> str:
        """The table, as messages name it."""

    @property
    def columns(self) -> Sequence[str]:
        """Its columns."""

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Its rows; a batch may lack some of the columns, which are null there."""


class ProfileTable(Rows, Protocol):
    """Rows of which every column is wanted, too."""

    @property
    def schema(self) -> pa.Schema:
        """Of `whole_batches`."""

    def whole_batches(self) -> Iterator[pa.RecordBatch]:
        """All columns, in the table's order of rows; batches of bounded size."""


@dataclass(frozen=True)
class ParquetRows:
    """Files of Parquet that together are one table, in the order of their names.

    A column that some files lack is null there.
    """

    name: str
    parts: tuple[Place, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Of all files, in the order of the first that has them."""
        return tuple(self.schema.names)

    @cached_property
    def schema(self) -> pa.Schema:
        """Of all files together.

        Raises
        ------
        MeasurementError
            If a file is no Parquet, or has a column twice; or a column has types that no type can
            hold.
        """
        schemas = []
        for part in self.parts:
            with _readable(part, open_parquet(part)) as file:
                schemas.append(file.schema_arrow.remove_metadata())
            check_distinct(part, schemas[-1].names)
        try:
            return pa.unify_schemas(schemas, promote_options="permissive")
        except pa.ArrowException as error:
            msg = f"{self.name}: its files have a column in types that do not agree ({error})"
            raise MeasurementError(msg) from error

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows of some columns, in order."""
        wanted = set(columns)
        for part in self.parts:
            yield from self._read(part, wanted)

    def whole_batches(self) -> Iterator[pa.RecordBatch]:
        """All columns, in the types of `schema`."""
        for part in self.parts:
            for batch in self._read(part, set(self.columns)):
                yield conformed(batch, self.schema)

    def _read(self, part: Place, wanted: set[str]) -> Iterator[pa.RecordBatch]:
        buffer = max(4096, _BUFFER_BYTES // max(1, len(wanted)))
        with _readable(part, open_parquet(part, buffer)) as file:
            # Looked for by position: a name with a point would be taken for a part of a column.
            names = file.schema_arrow.names
            there = [name for name in names if name in wanted]
            yield from file.iter_batches(batch_size=_rows_at_once(file, len(there)), columns=there)


@dataclass(frozen=True)
class IcebergRows:
    """A table of a warehouse at the snapshot that is current when it is read."""

    warehouse: Warehouse
    table: str

    @property
    def name(self) -> str:
        """The table and its warehouse."""
        return f"{self.table} of warehouse {self.warehouse.name}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the table, or of the view."""
        return tuple(self.schema.names)

    @cached_property
    def schema(self) -> pa.Schema:
        """As the table is read."""
        return self.warehouse.scan(self.table, limit=0).schema

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows of some columns."""
        there = [name for name in columns if name in set(self.columns)]
        yield from self.warehouse.scan(self.table, columns=there)

    def whole_batches(self) -> Iterator[pa.RecordBatch]:
        """All rows."""
        yield from self.warehouse.scan(self.table)


def open_table(
    target: str | Path,
    warehouse: str | Path | Warehouse | None = None,
    stores: StoreSettings | None = None,
) -> ProfileTable:
    """Open a table by its path, or by its name in a warehouse.

    Parameters
    ----------
    target
        A file or folder, or a URL of one; a name that is no path there is a warehouse's table.
    warehouse
        Opened, or as `cp_assets.open_warehouse` takes it.
    stores
        How object stores are reached.

    Raises
    ------
    ConfigurationError
        If nothing is there.
    NoSuchTableError
        If the warehouse has no such table.
    MeasurementError
        If the file is of another format, or empty.
    """
    path = place(target, stores)
    if path.exists():
        return table_of_path(path)
    if isinstance(path, ObjectPath) or _is_file_name(path):
        msg = f"{target}: no such file or folder; expected {EXPECTED}"
        raise ConfigurationError(msg)
    opened = warehouse if isinstance(warehouse, Warehouse) else _opened(str(target), warehouse)
    table = opened.qualify(str(target))
    if not opened.has_table(table):
        opened.table(table)
    return IcebergRows(opened, table)


def is_table(path: Place) -> bool:
    """Whether a path is that of a table, by its name or by the names in the folder."""
    if path.is_dir():
        return any(True for _ in _found_parts(path))
    return path.name.lower().endswith((*PARQUET, *CSV))


def table_of_path(path: Place) -> ProfileTable:
    """The table that a file, or a folder of Parquet files, is.

    Raises
    ------
    MeasurementError
        If it is none, or empty.
    """
    if path.is_dir():
        return ParquetRows(str(path), tuple(_parts(path)))
    name = path.name.lower()
    if not name.endswith((*PARQUET, *CSV)):
        msg = f"{path}: expected {EXPECTED}"
        raise MeasurementError(msg)
    if path.stat().st_size == 0:
        msg = f"{path} is empty; expected {EXPECTED}"
        raise MeasurementError(msg)
    return CsvRows(path) if name.endswith(CSV) else ParquetRows(str(path), (path,))


def with_keys(table: ProfileTable, columns: Iterable[str]) -> ProfileTable:
    """The table with these columns as keys too: a CSV file's are the text that it has."""
    if not isinstance(table, CsvRows):
        return table
    return replace(table, keys=table.keys.union(columns))


def files_of(table: Rows) -> tuple[Place, ...]:
    """The files that a table is read from; none for a warehouse's."""
    if isinstance(table, CsvRows):
        return (table.path,)
    return table.parts if isinstance(table, ParquetRows) else ()


def conformed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A batch with the columns and types of a schema; null where it has no such column."""
    there = {name: at for at, name in enumerate(batch.schema.names)}
    arrays = [
        batch.column(there[field.name]).cast(field.type)
        if field.name in there
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _parts(folder: Place) -> list[Place]:
    parts = sorted(_found_parts(folder), key=lambda part: part.name)
    if not parts:
        msg = (
            f"{folder} holds no Parquet file; expected {EXPECTED}. The tables of a warehouse are "
            "named, with --warehouse and its folder"
        )
        raise MeasurementError(msg)
    return parts


def _found_parts(folder: Place) -> Iterator[Place]:
    for part in folder.iterdir():
        if part.name.lower().endswith(PARQUET) and not part.name.startswith((".", "_")):
            yield part


def _is_file_name(path: Path) -> bool:
    return len(path.parts) > 1 or path.name.lower().endswith((*PARQUET, *CSV))


def _opened(target: str, warehouse: str | Path | None) -> Warehouse:
    try:
        return open_warehouse(warehouse)
    except NoSuchTableError as error:
        msg = f"{target} is no file or folder, nor a warehouse's table: {error}"
        raise ConfigurationError(msg) from error


@contextmanager
def _readable(part: Place, opening: AbstractContextManager[pq.ParquetFile]) -> Iterator[Any]:
    try:
        with opening as file:
            yield file
    except CpAssetsError:
        raise
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        msg = f"{part} cannot be read as Parquet ({reason}); expected {EXPECTED}"
        raise MeasurementError(msg) from error


def _rows_at_once(file: pq.ParquetFile, columns: int) -> int:
    """Rows of so many columns that fit into a batch, if all columns are of one width."""
    meta = file.metadata
    size = sum(meta.row_group(group).total_byte_size for group in range(meta.num_row_groups))
    share = columns / max(1, len(file.schema_arrow.names))
    row = max(1.0, size * share / max(1, meta.num_rows))
    return int(min(_BATCH_ROWS, max(1, _BATCH_BYTES // row)))
