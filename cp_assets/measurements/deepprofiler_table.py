"""A site of DeepProfiler's as measurement tables: itself as Image, its objects as a compartment.

Both have the types of the file: metadata are text, everything else numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.datasets.deepprofiler_identity import read_identity
from cp_assets.measurements.chunks import TableChunk
from cp_assets.measurements.columns import SOURCE_ROW
from cp_assets.measurements.deepprofiler import read_deepprofiler_site

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cp_assets.datasets.model import TableFile
    from cp_assets.measurements.chunks import TableName

_IMAGE = "Image"
_IMAGE_NUMBER = 1
"""A file is one image set."""


def read_deepprofiler_table(
    file: TableFile, table: TableName, only: Iterable[str] | None = None
) -> TableChunk:
    """Read the site's own row, or its objects, all at once.

    Parameters
    ----------
    only
        The columns to read; None for all.

    Raises
    ------
    MeasurementError
        If the file cannot be used, or holds what could run; names it.
    InputChangedError
        If it changes while it is read.
    """
    name = table.name.removesuffix(f":{file.table}")
    read = _image if table.compartment == _IMAGE else _objects
    chunk = read(file, name)
    told = [
        replace(one, compartment=table.compartment, source_file=table.name)
        for one in chunk.rejections
    ]
    return TableChunk(chunk.rows, tuple(told)).only(only)


def read_deepprofiler_types(file: TableFile, table: TableName) -> dict[str, pa.DataType]:
    """Columns of the site's own row or of its objects, with their types.

    Raises
    ------
    MeasurementError, InputChangedError
        As `read_deepprofiler_table`.
    """
    schema = read_deepprofiler_table(file, table).rows.schema
    return {one.name: one.type for one in schema if one.name != SOURCE_ROW}


def _image(file: TableFile, name: str) -> TableChunk:
    """The metadata and what the path says beside them; no row if the two contradict each other."""
    identity = read_identity(file.path, name)
    texts = identity.texts()
    names = ("Metadata_Plate", "Metadata_Well", "Metadata_Site")
    for column, text in zip(names, identity.place(), strict=True):
        texts[column] = texts.get(column) or text
    columns = {
        "ImageNumber": pa.array([_IMAGE_NUMBER], pa.int64()),
        **{column: pa.array([text], pa.string()) for column, text in texts.items()},
        SOURCE_ROW: pa.nulls(1, pa.int64()),
    }
    rows = pa.table(columns)
    known = rows if identity.contradiction() is None else rows.slice(0, 0)
    return TableChunk(known, tuple(identity.faults()))


def _objects(file: TableFile, name: str) -> TableChunk:
    site = read_deepprofiler_site(file.path, name)
    number = pa.repeat(pa.scalar(_IMAGE_NUMBER, pa.int64()), site.rows.num_rows)
    return TableChunk(site.rows.add_column(0, "ImageNumber", number), site.rejections)
