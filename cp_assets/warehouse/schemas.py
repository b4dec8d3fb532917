"""A table's schema in Arrow, and field ids on Arrow schemas.

Engines read our files alike only if each file has Parquet field ids and Iceberg's own physical
types: files without ids are refused by Daft and read as nulls by iceberg-rust.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.types import IcebergType, ListType, NestedField, StructType

from cp_assets.arrow_types import iceberg_native

if TYPE_CHECKING:
    from pyiceberg.schema import Schema

_FIELD_ID = b"PARQUET:field_id"


def arrow_schema(schema: Schema) -> pa.Schema:
    """The table's schema in plain Arrow types (string, binary and list with 32-bit offsets)."""
    return pa.schema(
        [
            f.with_type(iceberg_native(f.type))
            for f in schema_to_pyarrow(schema, include_field_ids=False)
        ]
    )


def with_field_ids(field: pa.Field, nested: NestedField) -> pa.Field:
    """The Arrow field with the Iceberg field's ids, all levels down, and its nullability."""
    return pa.field(
        field.name,
        _type_with_ids(field.type, nested.field_type),
        nullable=not nested.required,
        metadata={_FIELD_ID: str(nested.field_id).encode()},
    )


def _type_with_ids(kind: pa.DataType, nested: IcebergType) -> pa.DataType:
    if isinstance(nested, StructType):
        return pa.struct([with_field_ids(kind.field(child.name), child) for child in nested.fields])
    if isinstance(nested, ListType):
        return pa.list_(with_field_ids(kind.value_field, nested.element_field).with_name("element"))
    return kind
