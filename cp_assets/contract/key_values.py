"""Keys as text: whatever a table has for a number or a name, equal ones are equal texts."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.contract.names import NO_ALIASES, REQUIRED
from cp_assets.contract.scratch import registered
from cp_assets.errors import ConfigurationError, MeasurementError
from cp_assets.measurements.text_of_numbers import text_of_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import duckdb

    from cp_assets.contract.profile_tables import Rows

Keys = dict[str, pa.Array]
"""Name -> text, an array for each as long as the batch that it is of."""


def key_arrays(
    batch: pa.RecordBatch,
    columns: Mapping[str, str],
    table: str,
    given: Mapping[str, str] | None = None,
) -> Keys:
    """Keys of a batch as text; null for empty text, for NaN and where the batch has no column.

    Parameters
    ----------
    columns
        Name -> column.
    table
        As errors name it.
    given
        Name -> value that all rows have.

    Raises
    ------
    MeasurementError
        If a column holds neither text nor numbers.
    """
    there = set(batch.schema.names)
    keys = {
        name: _text(batch.column(column), column, table)
        if column in there
        else pa.nulls(batch.num_rows, pa.string())
        for name, column in columns.items()
    }
    constant = {name: pa.repeat(value, batch.num_rows) for name, value in (given or {}).items()}
    return {**keys, **constant}


@contextmanager
def registered_keys(
    connection: duckdb.DuckDBPyConnection,
    rows: Rows,
    columns: Mapping[str, str],
    given: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """`key_arrays` of all rows known to DuckDB, to be read once; reads no other columns."""
    names = [*columns, *(given or {})]
    # Rows without any key are counted too, and rows of no column are none.
    schema = pa.schema([*((name, pa.string()) for name in names), ("nothing", pa.null())])
    wanted = list(dict.fromkeys(columns.values())) or list(rows.columns[:1])

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in rows.batches(wanted):
            keys = key_arrays(batch, columns, rows.name, given)
            arrays = [*(keys[name] for name in names), pa.nulls(batch.num_rows)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    with registered(connection, "keys", schema, batches()) as source:
        yield source


def image_columns(images: Rows) -> dict[str, str]:
    """``dataset_id`` and ``image_id`` -> the column of images that holds it.

    Raises
    ------
    ConfigurationError
        If they have no such column.
    """
    found = NO_ALIASES.resolve(images.columns)
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        msg = (
            f"images of {images.name}: no column {' and '.join(missing)}; expected an image_assets "
            "table, a warehouse or an image store"
        )
        raise ConfigurationError(msg)
    return {name: found[name] for name in REQUIRED}


def _text(values: pa.Array, column: str, table: str) -> pa.Array:
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _text(values.dictionary_decode(), column, table)
    if pa.types.is_floating(kind):
        return text_of_numbers(values)
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise MeasurementError(_no_key(column, table, kind))
    try:
        text = pc.cast(values, pa.string())
    except pa.ArrowException as error:
        raise MeasurementError(_no_key(column, table, kind)) from error
    return pc.if_else(pc.equal(text, ""), None, text)


def _no_key(column: str, table: str, kind: pa.DataType) -> str:
    return (
        f"{table}: the key column {column} holds {kind}; expected text or numbers. Name another "
        "one with an alias"
    )
