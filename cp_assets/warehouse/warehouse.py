"""The warehouse as its users see it: its tables, what they hold, and reading them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyiceberg.exceptions import NoSuchNamespaceError
from pyiceberg.exceptions import NoSuchTableError as IcebergNoSuchTableError

from cp_assets.datasets.identity import PlateKey
from cp_assets.errors import NoSuchTableError
from cp_assets.warehouse.catalog import open_catalog
from cp_assets.warehouse.foreign_errors import catalog_errors
from cp_assets.warehouse.lookup import DataFiles
from cp_assets.warehouse.partitions import Partitions
from cp_assets.warehouse.query import Selection, connect, scan_selection
from cp_assets.warehouse.spec import PLATE_COLUMNS

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    import duckdb
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from cp_assets.warehouse.training import CropBatches

DESCRIPTION = pa.schema(
    [
        ("table", pa.string()),
        ("kind", pa.string()),
        ("rows", pa.int64()),
        ("data_files", pa.int64()),
        ("bytes", pa.int64()),
        ("plates", pa.int64()),
        ("snapshot_id", pa.int64()),
    ]
)


class Warehouse:
    """An Iceberg warehouse of Cell Painting plates.

    Parameters
    ----------
    catalog
        Any PyIceberg catalog.
    name
        What to call the warehouse in messages.

    Attributes
    ----------
    files
        What reads have learnt of the data files, kept for later reads in bounded memory.
    partitions
        What each table holds of a plate.

    Examples
    --------
    >>> wh = open_warehouse("warehouse")  # doctest: +SKIP
    >>> wh.read_table("joined_profiles", plate="BR00116991", well="A01")  # doctest: +SKIP
    """

    def __init__(self, catalog: Catalog, name: str) -> None:
        self.catalog = catalog
        self.name = name
        self.files = DataFiles()
        self.partitions = Partitions()

    def __repr__(self) -> str:
        return f"Warehouse({self.name!r})"

    def list_tables(self) -> list[str]:
        """Names of all tables, ``namespace.table``, sorted."""
        with self._errors("its tables cannot be listed"):
            return sorted(
                ".".join(identifier)
                for namespace in self.catalog.list_namespaces()
                for identifier in self.catalog.list_tables(namespace)
            )

    def has_table(self, name: str) -> bool:
        """Whether the table exists, by its full name or by the table alone where that is clear."""
        if "." not in name:
            return [table.split(".", 1)[1] for table in self.list_tables()].count(name) == 1
        identifier = tuple(name.split("."))
        try:
            # PyIceberg's table_exists loads the table, which is slow where it has thousands of
            # columns.
            with self._errors(f"whether it has {name} cannot be seen"):
                return identifier in self.catalog.list_tables(identifier[:-1])
        except NoSuchNamespaceError:
            return False

    def table(self, name: str) -> Table:
        """The PyIceberg table, as the catalog has it now.

        Parameters
        ----------
        name
            ``namespace.table``, or the table alone where only one namespace has it.

        Raises
        ------
        NoSuchTableError
            If there is none, or more than one.
        """
        qualified = self.qualify(name)
        try:
            with self._errors(f"{qualified} cannot be opened"):
                return self.catalog.load_table(qualified)
        except IcebergNoSuchTableError as error:
            raise NoSuchTableError(self._no_table(name)) from error

    def qualify(self, name: str) -> str:
        """The table's full name ``namespace.table``."""
        if "." in name:
            return name
        found = [table for table in self.list_tables() if table.split(".", 1)[1] == name]
        if len(found) != 1:
            raise NoSuchTableError(self._no_table(name))
        return found[0]

    def describe(self) -> pa.Table:
        """One row a table: kind, rows, data files, bytes, plates and current snapshot.

        ``kind`` is ``table``, or ``view`` for the tables whose rows are read together with those
        that they link.
        """
        return pa.Table.from_pylist(
            [self._describe(name) for name in self.list_tables()], DESCRIPTION
        )

    def scan(self, name: str, **selection: Any) -> pa.RecordBatchReader:
        """Stream a table's rows; takes the arguments of `read_table`.

        Memory is bounded by the batches in flight, not by the table. The reader keeps the snapshot
        that was current when the scan began.
        """
        chosen = Selection(table=self.qualify(name), **selection)
        with self._errors(f"{chosen.table} cannot be read"):
            return scan_selection(self.table, self.files, chosen)

    def read_table(self, name: str, **selection: Any) -> pa.Table:
        """Read rows of a table.

        ``profile_with_images`` is read as the view that it describes: one row a crop, with the
        cell's profile columns and the crop's image columns, only those that are asked for. Rows of
        other tables come in the order of their files; rows of the view in no particular order.

        Parameters
        ----------
        name
            ``namespace.table`` or the table alone.
        dataset, batch, plate, well, site
            Keep rows of this dataset, batch, plate, well (any spelling: ``a1``) and site; a string,
            or a sequence of them.
        object_id
            Keep rows of this object, or of these: one ``Metadata_ObjectID``, or a sequence. Reads
            the row groups that hold them and no others, so that one cell of a million crops takes
            tens of milliseconds. The first such read of a file also reads the ids of all its rows.
            An id that no row has, also one that could be none, gives no rows.
            ``where="Metadata_ObjectID = '...'"`` is as quick.
        columns
            Names of the columns; all of them by default.
        where
            A SQL predicate in DuckDB's dialect, over any column of the table. Letter case counts
            only where columns differ in nothing else.
        limit
            At most that many rows.

        Raises
        ------
        NoSuchTableError
            If the warehouse has no such table.
        QueryError
            If a column does not exist, the predicate cannot be read, or an id is no text.
        """
        rows = self.scan(name, **selection)
        with self._errors(f"{name} cannot be read"):
            return rows.read_all()

    def crops(self, **options: Any) -> CropBatches:
        """Batches of crops for training, as numpy arrays (N, C, Y, X) with the objects' ids.

        Parameters
        ----------
        **options
            ``channels=[...]``, ``size=96``, ``batch_size=256``, ``shuffle=seed``, ``plate=...`` and
            the others of `cp_assets.warehouse.training.CropOptions`.

        Raises
        ------
        ConfigurationError
            If an option cannot be used.
        NoSuchTableError
            If the warehouse has no crops.

        Examples
        --------
        >>> crops = wh.crops(plate="P1", channels=["DNA", "ER"], shuffle=1)  # doctest: +SKIP
        >>> for batch in crops:  # doctest: +SKIP
        ...     model(batch.pixels)
        >>> loader = DataLoader(crops.torch(), batch_size=None, num_workers=2)  # doctest: +SKIP
        """
        # Imported here: the one step up, for a front door that has everything.
        from cp_assets.warehouse.training import open_crops  # noqa: PLC0415

        return open_crops(self, **options)

    def duckdb(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection with every table; ``profile_with_images`` is a view of joined rows.

        Tables are found under ``namespace.table`` and, where unambiguous, under the table alone;
        each is read at the snapshot that is current now. Only the columns that a query names are
        read, of the files of the plates that its predicate allows: ``plate_id = '...'``, or an IN
        list of them; of the view, ``plate_id = '...'``.

        To SQL names that differ in letter case only are one: of such columns the first has its
        name, and the others another, such as ``Metadata_compound_1``, of which a `UserWarning`
        tells. `read_table` takes all of them by their own names.
        """
        tables = {name: self.table(name) for name in self.list_tables()}
        with self._errors("its tables cannot be read"):
            return connect(tables, self.files)

    def plates(self, name: str) -> list[PlateKey]:
        """The plates that a table has rows of, sorted; none if the table does not exist."""
        if not self.has_table(name):
            return []
        table = self.table(name)
        if table.current_snapshot() is None:
            return []
        with self._errors(f"the plates of {name} cannot be read"):
            partitions = table.inspect.partitions().column("partition").to_pylist()
        return sorted({PlateKey(*(row[column] for column in PLATE_COLUMNS)) for row in partitions})

    def _describe(self, name: str) -> dict[str, Any]:
        table = self.table(name)
        snapshot = table.current_snapshot()
        summary = snapshot.summary if snapshot else None
        return {
            "table": name,
            "kind": "view" if name == "profiles.profile_with_images" else "table",
            "rows": int(summary["total-records"] or 0) if summary else 0,
            "data_files": int(summary["total-data-files"] or 0) if summary else 0,
            "bytes": int(summary["total-files-size"] or 0) if summary else 0,
            "plates": len(self.plates(name)),
            "snapshot_id": snapshot.snapshot_id if snapshot else None,
        }

    def _errors(self, what: str) -> AbstractContextManager[None]:
        return catalog_errors(f"warehouse {self.name}: {what}")

    def _no_table(self, name: str) -> str:
        there = ", ".join(self.list_tables()) or "no table yet"
        return f"warehouse {self.name} has no table {name}; it has {there}"


def open_warehouse(warehouse: str | Path | None = None, *, create: bool = False) -> Warehouse:
    """Open a warehouse by its folder, or by the name of a configured PyIceberg catalog.

    Parameters
    ----------
    warehouse
        None for the configured catalog ``cp_assets``, else the folder ``CP_ASSETS_WAREHOUSE`` or
        ``./warehouse``.
    create
        Make an empty warehouse in the folder if there is none.

    Raises
    ------
    NoSuchTableError
        If there is no warehouse.
    WarehouseWriteError
        If it cannot be made.
    ConfigurationError, WarehouseUnavailableError
        If a configured catalog cannot be opened as it is configured, or does not answer.
    """
    return Warehouse(*open_catalog(warehouse, create=create))
