"""Rows of a plate's Image table, as checks read them."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from cp_assets.checks.outcome import PlateTables
from cp_assets.measurements.plan import IMAGE
from cp_assets.measurements.raw import RAW_MEASUREMENTS

PLACE = ("source_file", "source_row")
"""Columns that say where a row stands."""

OF_IMAGES = {"compartment": IMAGE}


def image_columns(tables: PlateTables) -> list[str]:
    """The columns that the plate's Image table has."""
    return tables.rows(RAW_MEASUREMENTS.name).columns(OF_IMAGES)


def image_batches(tables: PlateTables, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Columns of the Image table, `PLACE` first; those that it lacks are left out."""
    return tables.rows(RAW_MEASUREMENTS.name).batches([*PLACE, *names], OF_IMAGES)


def image_rows(tables: PlateTables, names: Sequence[str]) -> Iterator[dict[str, object]]:
    """`image_batches` row by row."""
    for batch in image_batches(tables, names):
        yield from batch.to_pylist()


def where(row: Mapping[str, object]) -> str:
    """The place of a row, for a message."""
    return f"{row['source_file']} row {row['source_row']}"
