"""Joined rows of which nothing was measured, left out where the dataset asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.measurements.joined_columns import measured_columns
from cp_assets.measurements.object_books import OBJECT_COLUMNS, object_rejection
from cp_assets.measurements.plan import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cp_assets.rejections import RejectionLog

_DETAIL = "nothing was measured of it and of the objects beside it, as drop_empty_rows asks"


def without_empty_rows(
    rows: Mapping[str, pa.RecordBatch], log: RejectionLog
) -> Mapping[str, pa.RecordBatch]:
    """The joined rows that have a value, of whole image sets.

    Parameters
    ----------
    rows
        Compartment -> its columns of each joined row, all of one length.
    log
        Takes the objects that only rows without a value have.
    """
    kept = _have_values(rows)
    if kept.all():
        return rows
    for compartment, batch in rows.items():
        if compartment != IMAGE:
            for row in _lost(batch, kept):
                log.add(object_rejection(row, compartment, "no_values", _DETAIL))
    return {name: batch.filter(pa.array(kept)) for name, batch in rows.items()}


def _have_values(rows: Mapping[str, pa.RecordBatch]) -> npt.NDArray[np.bool_]:
    """Which rows have a number in a measured column of an object; NaN is none. Shape (rows,)."""
    found = np.zeros(next(iter(rows.values())).num_rows, dtype=bool)
    for compartment, batch in rows.items():
        if compartment == IMAGE:
            continue
        for place, _ in measured_columns(compartment, tuple(batch.schema.names)):
            if found.all():
                return found
            if pa.types.is_floating(batch.schema.field(place).type):
                nothing = pc.is_null(batch.column(place), nan_is_null=True)
                found |= ~nothing.to_numpy(zero_copy_only=False)
    return found


def _lost(batch: pa.RecordBatch, kept: npt.NDArray[np.bool_]) -> Iterator[Mapping[str, object]]:
    """Objects of rows that are left out and of no other row, each once."""
    columns = [name for name in OBJECT_COLUMNS if name in batch.schema.names]
    objects = batch.select(columns).to_pylist()
    used = {_object(row) for row, stays in zip(objects, kept, strict=True) if stays}
    for row, stays in zip(objects, kept, strict=True):
        if not stays and row["ObjectNumber"] is not None and _object(row) not in used:
            used.add(_object(row))
            yield row


def _object(row: Mapping[str, object]) -> tuple[object, object]:
    return row.get("image_id"), row["ObjectNumber"]
