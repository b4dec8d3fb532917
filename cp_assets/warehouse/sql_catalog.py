"""PyIceberg's SQL catalog, which parses a table's metadata once for each of its states.

Parsing takes 10 ms for the crops and half a second for profiles of 8,000 columns, and PyIceberg
parses at every load, twice in a commit; asking which metadata is current takes half a millisecond.
A metadata file never changes: what was parsed holds for as long as the catalog names the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadataV2
from sqlalchemy import bindparam, select

from cp_assets.warehouse.schemas import SharedSchema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.table import CommitTableResponse
    from pyiceberg.table.update import TableRequirement, TableUpdate
    from pyiceberg.typedef import Identifier


# Made once: SQLAlchemy takes longer to put a query together than to run it.
_CURRENT = select(IcebergTables.metadata_location).where(
    IcebergTables.catalog_name == bindparam("catalog"),
    IcebergTables.table_namespace == bindparam("namespace"),
    IcebergTables.table_name == bindparam("table"),
)


class RememberingSqlCatalog(SqlCatalog):
    """A SQL catalog that remembers the state of each table that it loaded or committed last."""

    def __init__(self, name: str, **properties: str) -> None:
        super().__init__(name, **properties)
        self._known: dict[Identifier, Table] = {}

    def load_table(self, identifier: str | Identifier) -> Table:
        """The table as the catalog has it now.

        Callers get objects of their own: refreshing one does not change another.

        Raises
        ------
        NoSuchTableError
            PyIceberg's: if there is none.
        """
        key = Catalog.identifier_to_tuple(identifier)
        known = self._known.get(key)
        if known is None or known.metadata_location != self._location(key):
            known = self._known[key] = _shared(super().load_table(identifier))
        return _copy(known)

    def commit_table(
        self,
        table: Table,
        requirements: tuple[TableRequirement, ...],
        updates: tuple[TableUpdate, ...],
    ) -> CommitTableResponse:
        """Commit as PyIceberg does; the new state is known without being parsed."""
        response = super().commit_table(table, requirements, updates)
        committed = _copy(table)
        committed.metadata = response.metadata
        committed.metadata_location = response.metadata_location
        self._known[table.name()] = _shared(committed)
        return response

    def _location(self, identifier: Identifier) -> str:
        """Where the catalog says that the current metadata lies."""
        *namespace, name = identifier
        asked = {
            "catalog": self.name,
            "namespace": Catalog.namespace_to_string(tuple(namespace)),
            "table": name,
        }
        with self.engine.connect() as connection:
            location = connection.scalar(_CURRENT, asked)
        if location is None:
            self._known.pop(identifier, None)
            msg = f"Table does not exist: {'.'.join(identifier)}"
            raise NoSuchTableError(msg)
        return str(location)


class _SharedMetadata(TableMetadataV2):
    """Metadata whose parts are shared between a table's states, being frozen.

    PyIceberg copies them all in depth in each commit: a quarter of a second for 8,000 columns, and
    some ms for each hundred snapshots.
    """

    def model_copy(
        self,
        *,
        update: Mapping[str, Any] | None = None,
        deep: bool = False,
    ) -> Self:
        return super().model_copy(update=update)


def _shared(table: Table) -> Table:
    """The table with metadata and schemas that are not copied."""
    metadata = table.metadata
    if type(metadata) is TableMetadataV2:
        metadata = _SharedMetadata.model_construct(**dict(metadata))
    schemas = [SharedSchema.of(schema) for schema in metadata.schemas]
    table.metadata = metadata.model_copy(update={"schemas": schemas})
    return table


def _copy(table: Table) -> Table:
    return Table(
        identifier=table.name(),
        metadata=table.metadata,
        metadata_location=table.metadata_location,
        io=table.io,
        catalog=table.catalog,
    )
