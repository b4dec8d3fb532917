"""Reading a partition back as it was written: its files in order, each with its own columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from cp_assets.warehouse.tables import find_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

    from cp_assets.warehouse.warehouse import Warehouse

BATCH_ROWS = 512


class PartitionRows:
    """The rows of a partition at the snapshot that is current when this is made.

    A wide table's metadata takes long to load, so it is loaded once. A table that does not exist
    has no rows.

    Parameters
    ----------
    table
        ``namespace.table``.
    scope
        Partition column -> value.

    Attributes
    ----------
    name
        ``namespace.table``.
    state
        The partition's files and fingerprint.
    """

    def __init__(self, warehouse: Warehouse, table: str, scope: Mapping[str, str]) -> None:
        self.name = table
        self._table = find_table(warehouse, table)
        self._partitions = warehouse.partitions
        self.state = self._partitions.state(self._table, scope)
        self._files = self.state.files
        spec = self._table.spec().fields if self._table is not None else ()
        self._position = {field.name: position for position, field in enumerate(spec)}

    @property
    def exists(self) -> bool:
        """Whether the table holds any row of the partition."""
        return bool(self._files)

    def count(self, narrow: Mapping[str, str] | None = None) -> int:
        """How many rows there are."""
        return sum(file.record_count for file in self._matching(narrow))

    def schemas(self) -> list[pa.Schema]:
        """The Arrow schema of each data file, in the order of the rows."""
        return [self._read_schema(file) for file in self._files]

    def values(self, column: str) -> list[str]:
        """Values of a further partition column, sorted."""
        return sorted({self._value(file, column) for file in self._files})

    def columns(self, narrow: Mapping[str, str] | None = None) -> list[str]:
        """All columns that the files have, in the table's order.

        Parameters
        ----------
        narrow
            Further partition column -> value.
        """
        found = {name for file in self._matching(narrow) for name in self._read_schema(file).names}
        fields = self._table.schema().fields if self._table is not None else ()
        return [field.name for field in fields if field.name in found]

    def batches(
        self,
        columns: Sequence[str] | None = None,
        narrow: Mapping[str, str] | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> Iterator[pa.RecordBatch]:
        """Stream the rows in the order in which they were written.

        Columns that a file does not have are left out of its batches, not filled with nulls: a
        compartment's rows come without the columns of the others. A part of a nested column is
        named with points: ``ome_arrow_image.pixels_meta.size_x``.
        """
        for file in self._matching(narrow):
            yield from self._read(file, columns, batch_rows)

    def by_file(
        self, columns: Sequence[str], narrow: Mapping[str, str] | None = None
    ) -> Iterator[tuple[list[str], Iterator[pa.RecordBatch]]]:
        """For each data file the names of all its columns, and `batches` of some of them."""
        for file in self._matching(narrow):
            yield self._read_schema(file).names, self._read(file, columns, BATCH_ROWS)

    def _read(
        self, file: DataFile, columns: Sequence[str] | None, batch_rows: int
    ) -> Iterator[pa.RecordBatch]:
        with self._there.io.new_input(file.file_path).open() as stream:
            parquet = pq.ParquetFile(stream, metadata=self._partitions.footer(self._there, file))
            names = frozenset(parquet.schema_arrow.names)
            there = None if columns is None else [n for n in columns if _top(n, names) in names]
            yield from parquet.iter_batches(batch_size=batch_rows, columns=there)

    def _matching(self, narrow: Mapping[str, str] | None) -> Iterator[DataFile]:
        for file in self._files:
            if all(self._value(file, name) == value for name, value in (narrow or {}).items()):
                yield file

    def _value(self, file: DataFile, column: str) -> str:
        return str(file.partition[self._position[column]])

    def _read_schema(self, file: DataFile) -> pa.Schema:
        return self._partitions.schema(self._there, file)

    @property
    def _there(self) -> Table:
        if self._table is None:
            msg = "a table that does not exist has no file to open"
            raise AssertionError(msg)
        return self._table


def _top(name: str, names: Collection[str]) -> str:
    """The column that a name is a part of."""
    return name if name in names else name.partition(".")[0]
