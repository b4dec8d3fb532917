"""Putting the matched rows of some image sets side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.datasets.ids import object_id
from cp_assets.measurements.empty_rows import without_empty_rows
from cp_assets.measurements.joined_columns import BOX_COLUMNS, RAW_COLUMN_OF, measured_columns
from cp_assets.measurements.matching import NO_ROW, IntArray, Match, match_objects
from cp_assets.measurements.object_books import OBJECT_COLUMNS, object_rejection
from cp_assets.measurements.plan import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cp_assets.measurements.boxes import BoxColumns
    from cp_assets.measurements.groups import ImageSetGroup
    from cp_assets.measurements.plan import JoinPlan
    from cp_assets.rejections import RejectionLog

_NO_OBJECTS = pa.table({"ObjectNumber": pa.array([], pa.int64())})


@dataclass(frozen=True)
class Joiner:
    """Joins image sets of one plate.

    Attributes
    ----------
    box
        The joined columns of an object's box; None where it has none.
    log
        Takes objects that no joined row has, and joined rows without a parent.
    drop_empty_rows
        Whether joined rows of which nothing was measured are left out.
    """

    plan: JoinPlan
    box: BoxColumns | None
    log: RejectionLog
    drop_empty_rows: bool = False

    def join(self, groups: Sequence[ImageSetGroup]) -> Iterator[pa.RecordBatch]:
        """One batch of the joined rows of some image sets; none if there are no anchor objects."""
        matches = []
        for group in groups:
            keys = {**dict.fromkeys(self.plan.compartments, _NO_OBJECTS), **group.keys}
            match = match_objects(self.plan, keys)
            self._record(keys, match)
            of_image = 0 if IMAGE in group.keys else NO_ROW
            match.rows[IMAGE] = np.full(len(match.rows[self.plan.anchor]), of_image)
            matches.append(match)
        if not sum(len(match.rows[self.plan.anchor]) for match in matches):
            return
        names = [*self.plan.compartments]
        if any(IMAGE in group.keys for group in groups):
            names.append(IMAGE)
        rows = {name: _gather(name, groups, matches) for name in names}
        kept = without_empty_rows(rows, self.log) if self.drop_empty_rows else rows
        if kept[self.plan.anchor].num_rows:
            yield self._assemble(kept)

    def _assemble(self, rows: Mapping[str, pa.RecordBatch]) -> pa.RecordBatch:
        anchor = rows[self.plan.anchor]
        there = set(anchor.schema.names)
        columns = {name: anchor[key] for name, key in RAW_COLUMN_OF.items() if key in there}
        for compartment, batch in rows.items():
            arrays = batch.columns
            for place, name in measured_columns(compartment, tuple(batch.schema.names)):
                columns[name] = arrays[place]
        columns.update(self._boxes(columns, anchor.num_rows))
        columns["Metadata_ObjectID"] = self._object_ids(columns)
        return pa.RecordBatch.from_arrays([*columns.values()], names=[*columns])

    def _boxes(self, columns: Mapping[str, pa.Array], rows: int) -> dict[str, pa.Array]:
        nothing = pa.nulls(rows, pa.float64())
        if self.box is None:
            return dict.fromkeys(BOX_COLUMNS.values(), nothing)
        return {
            name: pc.cast(columns.get(getattr(self.box, edge), nothing), pa.float64())
            for edge, name in BOX_COLUMNS.items()
        }

    def _object_ids(self, columns: Mapping[str, pa.Array]) -> pa.Array:
        names = ["x_min", "y_min", "x_max", "y_max"]
        if self.box is not None and self.box.z_min is not None:
            names += ["z_min", "z_max"]
        edges = [columns[BOX_COLUMNS[edge]].to_pylist() for edge in names]
        keys = zip(
            columns["image_id"].to_pylist(),
            columns["Metadata_ObjectNumber"].to_pylist(),
            zip(*edges, strict=True),
            strict=True,
        )
        anchor = self.plan.anchor
        return pa.array([object_id(image, anchor, number, box) for image, number, box in keys])

    def _record(self, keys: Mapping[str, pa.Table], match: Match) -> None:
        """Enter an image set's unused objects, and its cells without a parent, into the books."""
        for unused in match.unused:
            for row in _identity(keys[unused.compartment], unused.rows):
                self.log.add(
                    object_rejection(row, unused.compartment, unused.reason, unused.detail)
                )
        anchor = keys[self.plan.anchor]
        for compartment, positions in match.orphans.items():
            for row in _identity(anchor, match.rows[self.plan.anchor][positions]):
                detail = f"it has no {compartment} object: the columns {compartment}_... are null"
                reason = f"no_{compartment.lower()}"
                self.log.add(
                    object_rejection(row, self.plan.anchor, reason, detail, incomplete=True)
                )


def _gather(
    compartment: str, groups: Sequence[ImageSetGroup], matches: Sequence[Match]
) -> pa.RecordBatch:
    """Rows of one compartment in the order of the joined rows; null where there is none."""
    batches: list[pa.RecordBatch] = []
    indices: list[IntArray] = []
    before = 0
    for group, match in zip(groups, matches, strict=True):
        places = []
        for run in group.runs.get(compartment, ()):
            if not batches or run.batch is not batches[-1]:
                before += batches[-1].num_rows if batches else 0
                batches.append(run.batch)
            places.append(np.arange(before + run.start, before + run.stop))
        rows = match.rows[compartment]
        own = np.concatenate([*places, [NO_ROW]])
        # NO_ROW is -1: the last of them.
        indices.append(own[rows])
    return _take(batches, np.concatenate(indices))


def _take(batches: Sequence[pa.RecordBatch], indices: IntArray) -> pa.RecordBatch:
    """Rows of some batches, counted through all of them; null for `NO_ROW`."""
    tables = [pa.Table.from_batches([batch]) for batch in batches] or [_NO_OBJECTS]
    together = pa.concat_tables(tables, promote_options="default")
    first = indices[0]
    if first != NO_ROW and np.array_equal(indices, np.arange(first, first + len(indices))):
        # As it is where every cell has one nucleus: to move thousands of columns takes long.
        found = together.slice(first, len(indices))
    else:
        found = together.combine_chunks().take(pa.array(indices, mask=indices == NO_ROW))
    (whole,) = found.combine_chunks().to_batches()
    return whole


def _identity(table: pa.Table, rows: IntArray) -> list[dict[str, object]]:
    if not len(rows):
        # An image set without any object of the compartment has no such columns either.
        return []
    found: list[dict[str, object]] = table.select(OBJECT_COLUMNS).take(pa.array(rows)).to_pylist()
    return found
