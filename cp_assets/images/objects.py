"""The objects of one image set, out of the stream of joined profiles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DEPTH_COLUMNS = ("Metadata_SourceBBoxZMin", "Metadata_SourceBBoxZMax")

BOX_COLUMNS = (
    "Metadata_SourceBBoxXMin",
    "Metadata_SourceBBoxYMin",
    "Metadata_SourceBBoxXMax",
    "Metadata_SourceBBoxYMax",
    *DEPTH_COLUMNS,
)
"""Edges in pixels, in the order x_min, y_min, x_max, y_max, z_min, z_max."""

OBJECT_COLUMNS = (
    *("dataset_id", "batch_id", "plate_id", "well_id", "site_id", "image_id"),
    *("Metadata_ImageNumber", "Metadata_ObjectNumber", "Metadata_ObjectID", *BOX_COLUMNS),
)
"""What cropping needs of the joined profiles; boxes of planes may lack the columns of Z."""


@dataclass(frozen=True, eq=False, slots=True)
class ObjectGroup:
    """All objects of one image set, in the order of the profiles.

    Attributes
    ----------
    rows
        A table of `OBJECT_COLUMNS`.
    """

    image_id: str
    rows: pa.Table

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @property
    def place(self) -> tuple[str | None, str | None]:
        """Well and site."""
        return self.rows["well_id"][0].as_py(), self.rows["site_id"][0].as_py()

    @property
    def object_ids(self) -> list[str]:
        """``Metadata_ObjectID`` of each object."""
        return [str(value) for value in self.rows["Metadata_ObjectID"].to_pylist()]

    @property
    def object_numbers(self) -> list[int | None]:
        """``Metadata_ObjectNumber`` of each object."""
        return list(self.rows["Metadata_ObjectNumber"].to_pylist())

    @property
    def boxes(self) -> npt.NDArray[np.float64]:
        """Boxes as measured, shape (objects, 6) in the order of `BOX_COLUMNS`; NaN for null."""
        edges = [self.rows[name].cast(pa.float64()).to_numpy() for name in BOX_COLUMNS]
        return np.stack(edges, axis=1)

    @property
    def keys(self) -> pa.RecordBatch:
        """The columns but for the boxes."""
        (batch,) = self.rows.drop_columns(BOX_COLUMNS).combine_chunks().to_batches()
        return batch


def object_groups(profiles: Iterable[pa.RecordBatch]) -> Iterator[ObjectGroup]:
    """Split a stream of profiles, contiguous by ``image_id``, into one group for each image set.

    Raises
    ------
    ConfigurationError
        If a column that cropping needs is missing.
    """
    waiting: list[pa.RecordBatch] = []
    current = ""
    for batch in profiles:
        for image_id, rows in _runs(_needed(batch)):
            if waiting and image_id != current:
                yield ObjectGroup(current, pa.Table.from_batches(waiting))
                waiting = []
            current = image_id
            waiting.append(rows)
    if waiting:
        yield ObjectGroup(current, pa.Table.from_batches(waiting))


def _needed(batch: pa.RecordBatch) -> pa.RecordBatch:
    for name in DEPTH_COLUMNS:
        if name not in batch.schema.names:
            batch = batch.append_column(name, pa.nulls(batch.num_rows, pa.float64()))
    missing = [name for name in OBJECT_COLUMNS if name not in batch.schema.names]
    if missing:
        msg = (
            f"profiles to crop have no column {', '.join(missing)}; expected the columns of "
            "profiles.joined_profiles, whose box is in Metadata_SourceBBox*"
        )
        raise ConfigurationError(msg)
    return batch.select(OBJECT_COLUMNS)


def _runs(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Pieces of equal ``image_id``; a null id is the empty text, which no image set has."""
    ids = pc.fill_null(batch["image_id"].cast(pa.string()), "")
    if not len(ids):
        return
    changes = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    starts = [0, *(np.flatnonzero(changes) + 1).tolist(), len(ids)]
    for start, stop in pairwise(starts):
        yield ids[start].as_py(), batch.slice(start, stop - start)
