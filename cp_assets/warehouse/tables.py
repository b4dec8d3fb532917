"""Making tables, and adding columns to them: columns are only ever added."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.update import (
    AddSchemaUpdate,
    AssertCurrentSchemaId,
    AssertLastAssignedFieldId,
    AssertTableUUID,
    SetCurrentSchemaUpdate,
)
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    NestedField,
    PrimitiveType,
    StringType,
    TimestampType,
)
from sqlalchemy.exc import IntegrityError

from cp_assets.arrow_types import iceberg_native
from cp_assets.errors import SchemaConflictError, WarehouseWriteError
from cp_assets.retries import Deadline
from cp_assets.warehouse.foreign_errors import catalog_errors
from cp_assets.warehouse.patience import asking

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from cp_assets.warehouse.spec import TableSpec
    from cp_assets.warehouse.warehouse import Warehouse

_PATIENCE_SECONDS = 60.0
_NEWEST_SCHEMA = -1

_PROPERTIES = {
    "format-version": "2",
    "write.metadata.metrics.default": "none",
    # Keeps a commit's price flat over thousands of plates.
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "10",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "10",
    "commit.retry.num-retries": "20",
    "commit.retry.min-wait-ms": "50",
    "commit.retry.max-wait-ms": "5000",
}

_ICEBERG: dict[pa.DataType, PrimitiveType] = {
    pa.float64(): DoubleType(),
    pa.float32(): FloatType(),
    pa.int64(): LongType(),
    pa.int32(): IntegerType(),
    pa.string(): StringType(),
    pa.bool_(): BooleanType(),
    pa.date32(): DateType(),
    pa.timestamp("us"): TimestampType(),
}


def find_table(warehouse: Warehouse, name: str) -> Table | None:
    """The table ``namespace.table`` as the catalog has it now, or None if it does not exist."""
    try:
        with catalog_errors(f"warehouse {warehouse.name}: {name} cannot be opened"):
            return warehouse.catalog.load_table(name)
    except NoSuchTableError:
        return None


def open_table(warehouse: Warehouse, spec: TableSpec) -> Table:
    """The table, made if it does not exist; another process may make it at the same time.

    Raises
    ------
    WarehouseWriteError
        If catalog or storage refuse.
    WarehouseUnavailableError
        If they do not answer for a while.
    """
    table = find_table(warehouse, spec.name)
    if table is not None:
        return table
    # If a table was made though nobody said so, the next attempt finds it.
    what = f"warehouse {warehouse.name}: {spec.name} cannot be made"
    with catalog_errors(what, WarehouseWriteError):
        return asking(Deadline(_PATIENCE_SECONDS))(_make_if_missing, warehouse, spec)


def _make_if_missing(warehouse: Warehouse, spec: TableSpec) -> Table:
    try:
        _make_namespace(warehouse, spec.identifier[0])
        return _make_table(warehouse, spec)
    except (TableAlreadyExistsError, CommitFailedException):
        # The other process's table is as good as ours.
        return warehouse.catalog.load_table(spec.identifier)


def _make_table(warehouse: Warehouse, spec: TableSpec) -> Table:
    # Iceberg's check for conflicting commits reads these columns' bounds.
    metrics = {f"write.metadata.metrics.column.{name}": "full" for name in spec.partition_columns}
    schema = _numbered(warehouse, spec)
    return warehouse.catalog.create_table(
        spec.identifier,
        schema,
        partition_spec=_partitioning(spec, schema),
        properties={**_PROPERTIES, **metrics, "comment": spec.doc},
    )


def _numbered(warehouse: Warehouse, spec: TableSpec) -> Schema:
    """The spec's schema with the field ids that PyIceberg gives it; nothing is committed."""
    creation = warehouse.catalog.create_table_transaction(spec.identifier, schema=spec.schema)
    return creation.table_metadata.schema()


def _partitioning(spec: TableSpec, schema: Schema) -> PartitionSpec:
    fields = [
        PartitionField(
            source_id=schema.find_field(name).field_id,
            field_id=number,
            transform=IdentityTransform(),
            name=name,
        )
        for number, name in enumerate(spec.partition_columns, start=PARTITION_FIELD_ID_START)
    ]
    return PartitionSpec(*fields)


def _make_namespace(warehouse: Warehouse, namespace: str) -> None:
    try:
        warehouse.catalog.create_namespace_if_not_exists(namespace)
    except (IntegrityError, NamespaceAlreadyExistsError):
        # Another process made it between PyIceberg's question and its insert.
        warehouse.catalog.load_namespace_properties(namespace)


def add_columns(table: Table, spec: TableSpec, wanted: pa.Schema) -> None:
    """Add the columns that the table lacks, as optional ones, in one commit.

    PyIceberg's own schema update takes a time for each column that grows with the table's width (20
    ms at 8,000 columns), so the new schema is made here and handed to the catalog.

    Raises
    ------
    SchemaConflictError
        If the table takes no further columns, or Iceberg has no such type.
    SQLAlchemyError, RESTError, CommitFailedException
        Of the catalog, if it has not taken the columns after a while.
    """
    is_stale = False

    def add() -> None:
        nonlocal is_stale
        if is_stale:
            # Another writer changed the table, or the catalog did not say whether we did: look
            # again at what is missing.
            table.refresh()
        is_stale = True
        missing = _missing(table, spec, wanted)
        if missing:
            _commit_schema(table, _widened(table, table.schema(), missing))
            table.refresh()

    asking(Deadline(_PATIENCE_SECONDS))(add)


def _missing(table: Table, spec: TableSpec, wanted: pa.Schema) -> list[pa.Field]:
    known = {field.name for field in table.schema().fields}
    missing = [field for field in wanted if field.name not in known]
    # A table that an older version made gets the columns that this one knows.
    strange = [field for field in missing if field.name not in spec.schema.names]
    if strange and not spec.open_columns:
        msg = f"{spec.name} has no column {strange[0].name}: this table takes no further columns"
        raise SchemaConflictError(msg)
    return missing


def _widened(table: Table, schema: Schema, missing: list[pa.Field]) -> Schema:
    first = table.metadata.last_column_id + 1
    added = [
        NestedField(first + offset, field.name, _iceberg_type(field), required=False)
        for offset, field in enumerate(missing)
    ]
    newest = max(table.metadata.schemas, key=lambda one: one.schema_id).schema_id
    return Schema(
        *schema.fields,
        *added,
        schema_id=newest + 1,
        identifier_field_ids=schema.identifier_field_ids,
    )


def _iceberg_type(field: pa.Field) -> PrimitiveType:
    kind = iceberg_native(field.type)
    if kind not in _ICEBERG:
        msg = f"column {field.name} is {kind}: only plain values can be added to a table"
        raise SchemaConflictError(msg)
    return _ICEBERG[kind]


def _commit_schema(table: Table, schema: Schema) -> None:
    requirements = (
        AssertTableUUID(uuid=table.metadata.table_uuid),
        AssertCurrentSchemaId(current_schema_id=table.metadata.current_schema_id),
        AssertLastAssignedFieldId(last_assigned_field_id=table.metadata.last_column_id),
    )
    updates = (
        AddSchemaUpdate(schema_=schema),
        SetCurrentSchemaUpdate(schema_id=_NEWEST_SCHEMA),
    )
    table.catalog.commit_table(table, requirements, updates)
