"""Whether two engines gave the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_KEYS = (
    *("plate_id", "well_id", "site_id", "compartment", "table_name", "source_file", "source_row"),
    *("Metadata_ObjectID", "Metadata_ImageCropID", "Metadata_ImageID", "Metadata_Channel"),
    *("kind", "uri", "array_path", "chunk_key", "snapshot_id"),
)
"""Columns that name a row, of whatever table."""


def assert_same(
    found: pa.Table, expected: pa.Table, columns: list[str], keys: Sequence[str] = _KEYS
) -> None:
    """Hold two tables to have the same rows in any order; NaN is NaN and no null.

    Widths of integers and of offsets may differ: engines have their own.

    Parameters
    ----------
    columns
        To be compared.
    keys
        Columns that name a row; those that the tables do not have are left out.
    """
    assert found.column_names == expected.column_names, "other columns"
    assert found.num_rows == expected.num_rows, f"{found.num_rows} rows, not {expected.num_rows}"
    order = [(name, "ascending") for name in keys if name in expected.column_names]
    # Cast first: text of two types may be sorted alike, and is not compared alike.
    left, right = _cast(found, expected.schema).sort_by(order), expected.sort_by(order)
    for name in columns:
        assert _is_same(left[name], right[name]), f"values of {name}"


def _cast(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    for field in schema:
        kinds = _kind(rows.schema.field(field.name).type), _kind(field.type)
        assert kinds[0] == kinds[1], f"{field.name} is {kinds[0]}, not {kinds[1]}"
    # Whether a column may be null is no matter of its values.
    return rows.cast(pa.schema([field.with_nullable(True) for field in schema]))


def _is_same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    if one.equals(other):
        return True
    if not pa.types.is_floating(one.type) or not one.is_null().equals(other.is_null()):
        return False
    return np.array_equal(*(pc.fill_null(a, 0).to_numpy() for a in (one, other)), equal_nan=True)


def _kind(kind: pa.DataType) -> Any:
    """What a type is but for its widths."""
    if pa.types.is_struct(kind):
        return {field.name: _kind(field.type) for field in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_kind(kind.value_type)]
    for name in ("integer", "string", "large_string", "binary", "large_binary", "timestamp"):
        if getattr(pa.types, f"is_{name}")(kind):
            return name.removeprefix("large_")
    return str(kind).removesuffix("_view")
