"""Arrow types as Iceberg stores them.

Engines read our files alike only if these have Iceberg's own physical types: an unsigned or 16-bit
leaf breaks Polars, Spark and DataFusion.
"""

from __future__ import annotations

import pyarrow as pa

from cp_assets.errors import SchemaConflictError


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
