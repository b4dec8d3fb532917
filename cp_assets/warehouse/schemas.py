"""A table's schema in Arrow, and field ids on Arrow schemas.

Engines read our files alike only if each file has Parquet field ids and Iceberg's own physical
types: files without ids are refused by Daft and read as nulls by iceberg-rust.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType, ListType, NestedField, StructType

from cp_assets.arrow_types import iceberg_native

_FIELD_ID = b"PARQUET:field_id"


class SharedSchema(Schema):
    """A schema that is converted to Arrow and to JSON once; PyIceberg writes it into manifests."""

    @classmethod
    def of(cls, schema: Schema) -> SharedSchema:
        """The schema itself where it is shared already."""
        if isinstance(schema, cls):
            return schema
        return cls(
            *schema.fields,
            schema_id=schema.schema_id,
            identifier_field_ids=schema.identifier_field_ids,
        )

    def model_dump_json(self, *arguments: Any, **options: Any) -> str:
        """As PyIceberg writes it."""
        return (
            super().model_dump_json(*arguments, **options) if arguments or options else self.as_json
        )

    @cached_property
    def as_json(self) -> str:
        """The schema without options, as it stands in manifests."""
        return super().model_dump_json()

    @cached_property
    def arrow(self) -> pa.Schema:
        """See `arrow_schema`."""
        return _to_arrow(self)

    @cached_property
    def annotated(self) -> pa.Schema:
        """See `annotated_schema`."""
        return _with_field_ids(self.arrow, self)


def arrow_schema(schema: Schema) -> pa.Schema:
    """The table's schema in plain Arrow types (string, binary and list with 32-bit offsets)."""
    return SharedSchema.of(schema).arrow


def annotated_schema(schema: Schema) -> pa.Schema:
    """`arrow_schema` with the ids of all fields, all levels down, and their nullability."""
    return SharedSchema.of(schema).annotated


def _to_arrow(schema: Schema) -> pa.Schema:
    return pa.schema(
        [
            f.with_type(iceberg_native(f.type))
            for f in schema_to_pyarrow(schema, include_field_ids=False)
        ]
    )


def _with_field_ids(plain: pa.Schema, schema: Schema) -> pa.Schema:
    return pa.schema(
        [_annotated(field, one) for field, one in zip(plain, schema.fields, strict=True)]
    )


def _annotated(field: pa.Field, nested: NestedField) -> pa.Field:
    return pa.field(
        field.name,
        _type_with_ids(field.type, nested.field_type),
        nullable=not nested.required,
        metadata={_FIELD_ID: str(nested.field_id).encode()},
    )


def _type_with_ids(kind: pa.DataType, nested: IcebergType) -> pa.DataType:
    if isinstance(nested, StructType):
        return pa.struct([_annotated(kind.field(child.name), child) for child in nested.fields])
    if isinstance(nested, ListType):
        return pa.list_(_annotated(kind.value_field, nested.element_field).with_name("element"))
    return kind
