"""Arrow types as Iceberg stores them, and field ids on Arrow schemas.

Engines read our files alike only if each file has Parquet field ids and Iceberg's own physical
types: files without ids are refused by Daft and read as nulls by iceberg-rust; an unsigned or
16-bit leaf breaks Polars, Spark and DataFusion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.types import IcebergType, ListType, NestedField, StructType

from cp_assets.errors import SchemaConflictError

if TYPE_CHECKING:
    from pyiceberg.schema import Schema

_FIELD_ID = b"PARQUET:field_id"


def iceberg_native(kind: pa.DataType) -> pa.DataType:
    """The Arrow type that Iceberg stores this type as.

    Integers of 8 and 16 bits and unsigned ones of 32 bits become int32 (their values must fit),
    large and dictionary types their plain forms, timestamps microseconds; null-typed struct fields
    are left out.

    Raises
    ------
    SchemaConflictError
        If Iceberg has no such type.
    """
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return pa.struct(
            [f.with_type(iceberg_native(f.type)) for f in fields if not pa.types.is_null(f.type)]
        )
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(kind.value_field.with_type(iceberg_native(kind.value_type)))
    if pa.types.is_dictionary(kind):
        return iceberg_native(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz=kind.tz)
    return _native_leaf(kind)


_LEAVES: dict[pa.DataType, pa.DataType] = {
    **{
        small: pa.int32() for small in (pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.uint32())
    },
    **{same: same for same in (pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.bool_())},
    **{text: pa.string() for text in (pa.string(), pa.large_string(), pa.string_view())},
    **{data: pa.binary() for data in (pa.binary(), pa.large_binary(), pa.binary_view())},
    pa.date32(): pa.date32(),
}


def _native_leaf(kind: pa.DataType) -> pa.DataType:
    if kind not in _LEAVES:
        msg = f"Iceberg has no type for Arrow's {kind}: cast the column before it is written"
        raise SchemaConflictError(msg)
    return _LEAVES[kind]


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
