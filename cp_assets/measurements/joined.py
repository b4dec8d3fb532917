"""``profiles.joined_profiles``: one cell a row, its compartments side by side.

The compartments of the raw measurements lie in the same order of image sets, so the join walks
through them together, a few image sets at a time; memory does not grow with the plate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.datasets.ids import object_id
from cp_assets.errors import JoinError
from cp_assets.measurements.boxes import BoxColumns, resolve_box_columns
from cp_assets.measurements.columns import ADDED, IMAGE_SET_KEYS, is_key_or_parent
from cp_assets.measurements.groups import ImageSetGroup, walk_together
from cp_assets.measurements.matching import NO_ROW, IntArray, Match, match_objects
from cp_assets.measurements.plan import IMAGE, JoinPlan, plan_join
from cp_assets.rejections import Rejection, RejectionLog
from cp_assets.warehouse.spec import CYTOMINING_COLUMNS, KEY_COLUMNS, TableSpec, column

if TYPE_CHECKING:
    from cp_assets.datasets.model import PlateSources

BOX_COLUMNS = {
    "x_min": "Metadata_SourceBBoxXMin",
    "x_max": "Metadata_SourceBBoxXMax",
    "y_min": "Metadata_SourceBBoxYMin",
    "y_max": "Metadata_SourceBBoxYMax",
    "z_min": "Metadata_SourceBBoxZMin",
    "z_max": "Metadata_SourceBBoxZMax",
}
"""Edge -> column of the resolved box, in pixels, half-open: minimum <= pixel < maximum."""

JOINED_PROFILES = TableSpec(
    name="profiles.joined_profiles",
    doc="one cell: its compartments side by side, prefixed",
    schema=pa.schema(
        [
            *KEY_COLUMNS,
            *CYTOMINING_COLUMNS,
            column(
                "Metadata_ObjectNumber", pa.int64(), "number of the anchor object", required=True
            ),
            column(
                "Metadata_ObjectID", pa.string(), "UUIDv5 of image set, number, box", required=True
            ),
            column(
                "Metadata_SourceBBoxXMin", pa.float64(), "left edge of the box, px, as measured"
            ),
            column("Metadata_SourceBBoxXMax", pa.float64(), "right edge of the box, px, exclusive"),
            column(
                "Metadata_SourceBBoxYMin", pa.float64(), "upper edge of the box, px, as measured"
            ),
            column("Metadata_SourceBBoxYMax", pa.float64(), "lower edge of the box, px, exclusive"),
            column("Metadata_SourceBBoxZMin", pa.float64(), "first plane; null without a depth"),
            column("Metadata_SourceBBoxZMax", pa.float64(), "last plane, exclusive; or null"),
            column("Metadata_SourceFolder", pa.string(), "measurement folder, below the root"),
        ]
    ),
    open_columns=True,
    code_version="2",
)

ROWS_AT_ONCE = 2048
"""Most anchor objects joined at once: whole image sets are gathered until there are that many."""

VALUES_AT_ONCE = 4 * 2**20
"""Most values joined at once, 32 MiB of doubles: 500 rows of a plate of 8,000 columns."""

_RAW_KEYS = ADDED | {*IMAGE_SET_KEYS}

RawScan = Callable[[str], Iterable[pa.RecordBatch]]
"""Compartment -> its raw rows of the plate, in the order in which they were written."""


def joined_name(compartment: str, name: str) -> str:
    """The joined profiles' name of a compartment's column.

    ``AreaShape_Area`` of Cells is ``Cells_AreaShape_Area``; keys and parents are
    ``Metadata_Cells_ObjectNumber``, so that pycytominer takes them for no feature.
    """
    if compartment != IMAGE and is_key_or_parent(name):
        return f"Metadata_{compartment}_{name}"
    return f"{compartment}_{name}"


_SAME_NAME = frozenset({"dataset_id", "batch_id", "plate_id", "well_id", "site_id", "image_id"})
_RENAMED = {
    "Metadata_Plate": "plate_id",
    "Metadata_Well": "well_id",
    "Metadata_Site": "site_id",
    "Metadata_ImageNumber": "ImageNumber",
    "Metadata_TableNumber": "TableNumber",
    "Metadata_ObjectNumber": "ObjectNumber",
    "Metadata_SourceFolder": "source_folder",
}


def raw_columns_of(names: Collection[str]) -> dict[str, str]:
    """The raw measurements' column behind each column of the joined profiles.

    Computed columns are left out, and those of annotation files, of which only the keys and parents
    of an object could have the names. The joined compartments are told by their key columns, so a
    compartment's name may hold ``_``.
    """
    keys = [
        name for name in names if name.startswith("Metadata_") and name.endswith("_ObjectNumber")
    ]
    compartments = [name.removeprefix("Metadata_").removesuffix("_ObjectNumber") for name in keys]
    prefixes = sorted((*compartments, IMAGE), key=len, reverse=True)
    found = {name: name for name in names if name in _SAME_NAME}
    found.update({name: _RENAMED[name] for name in names if name in _RENAMED})
    for name in names:
        bare = name.removeprefix("Metadata_")
        prefix = next((p for p in prefixes if bare.startswith(f"{p}_")), None)
        if prefix is not None and joined_name(prefix, source := bare[len(prefix) + 1 :]) == name:
            found[name] = source
    return found


def joined_profiles(
    sources: PlateSources,
    raw_columns: Mapping[str, list[str]],
    raw: RawScan,
    log: RejectionLog,
) -> Iterator[pa.RecordBatch]:
    """Join a plate's raw measurements.

    Parameters
    ----------
    raw_columns
        Compartment -> columns of its raw measurements.

    Raises
    ------
    JoinError
        If the compartments cannot be joined, or two of their columns would have one name.
    BoxColumnsError
        If a given map of box columns does not fit, or the fallback finds several columns.
    """
    plan = plan_join(raw_columns, sources.dataset, str(sources.key))
    box = _box_columns(sources, plan, raw_columns)
    names = (IMAGE, *plan.compartments) if IMAGE in raw_columns else plan.compartments
    _check_names(sources, {name: raw_columns[name] for name in names})
    streams = {name: raw(name) for name in names}
    joiner = _Joiner(plan, box, log)
    width = sum(len(raw_columns[name]) for name in names)
    rows_at_once = min(ROWS_AT_ONCE, VALUES_AT_ONCE // width)
    pending: list[ImageSetGroup] = []
    rows = 0
    for group in walk_together(streams, sources):
        pending.append(group)
        rows += group.tables[plan.anchor].num_rows if plan.anchor in group.tables else 0
        if rows >= rows_at_once:
            yield from joiner.join(pending)
            pending, rows = [], 0
    yield from joiner.join(pending)


def _measured(compartment: str, names: Iterable[str]) -> list[str]:
    """Columns of a compartment that stand under its own name in the joined profiles."""
    return [
        name
        for name in names
        if name not in _RAW_KEYS and not (compartment == IMAGE and name == "ObjectNumber")
    ]


def _check_names(sources: PlateSources, columns: Mapping[str, Iterable[str]]) -> None:
    """Refuse compartments of which two columns, or one and a key, would have one joined name.

    Raises
    ------
    JoinError
        Names both.
    """
    taken = dict.fromkeys(JOINED_PROFILES.schema.names, "a column that identifies the row")
    for compartment, names in columns.items():
        for name in _measured(compartment, names):
            own, joined = f"{name} of {compartment}.csv", joined_name(compartment, name)
            other = taken.setdefault(joined, own)
            if other != own:
                msg = (
                    f"plate {sources.key}: {own} would be {joined} in the joined profiles, which "
                    f"is {other}; name the column otherwise, or set `compartments` to leave "
                    f"{compartment} out"
                )
                raise JoinError(msg)


def _box_columns(
    sources: PlateSources, plan: JoinPlan, raw_columns: Mapping[str, list[str]]
) -> BoxColumns | None:
    """The box columns of the joined table; None where none was asked for and there are none."""
    names = [
        joined_name(compartment, name)
        for compartment in plan.compartments
        for name in raw_columns[compartment]
    ]
    options = sources.dataset.images
    asked = options.bbox_column_map is not None or options.box_compartment is not None
    if not asked and not any("Minimum_X" in name for name in names):
        return None
    return resolve_box_columns(names, options.bbox_column_map, options.box_compartment)


@dataclass(frozen=True)
class _Joiner:
    plan: JoinPlan
    box: BoxColumns | None
    log: RejectionLog

    def join(self, groups: list[ImageSetGroup]) -> Iterator[pa.RecordBatch]:
        """One batch of the joined rows of some image sets."""
        complete = [self._with_all(group) for group in groups]
        matches = [match_objects(self.plan, group.tables) for group in complete]
        for group, match in zip(complete, matches, strict=True):
            self._record(group, match)
        if not sum(len(match.rows[self.plan.anchor]) for match in matches):
            return
        tables = {name: _gather(name, complete, matches) for name in self.plan.compartments}
        if any(IMAGE in group.tables for group in complete):
            tables[IMAGE] = _gather_image(complete, matches, self.plan.anchor)
        yield self._assemble(tables)

    def _with_all(self, group: ImageSetGroup) -> ImageSetGroup:
        empty = pa.table({"ObjectNumber": pa.array([], pa.int64())})
        missing = {name: empty for name in self.plan.compartments if name not in group.tables}
        return ImageSetGroup(group.image_id, {**group.tables, **missing})

    def _assemble(self, tables: dict[str, pa.Table]) -> pa.RecordBatch:
        anchor = tables[self.plan.anchor]
        columns: dict[str, pa.ChunkedArray | pa.Array] = {
            f.name: anchor[f.name] for f in KEY_COLUMNS
        }
        columns["Metadata_Plate"] = anchor["plate_id"]
        columns["Metadata_Well"] = anchor["well_id"]
        columns["Metadata_Site"] = anchor["site_id"]
        columns["Metadata_ImageNumber"] = anchor["ImageNumber"]
        if "TableNumber" in anchor.column_names:
            columns["Metadata_TableNumber"] = anchor["TableNumber"]
        columns["Metadata_ObjectNumber"] = anchor["ObjectNumber"]
        columns["Metadata_SourceFolder"] = anchor["source_folder"]
        for compartment, table in tables.items():
            for name in _measured(compartment, table.column_names):
                columns[joined_name(compartment, name)] = table[name]
        columns.update(self._boxes(columns, anchor.num_rows))
        columns["Metadata_ObjectID"] = self._object_ids(columns)
        return pa.table(columns).combine_chunks().to_batches()[0]

    def _boxes(
        self, columns: Mapping[str, pa.ChunkedArray | pa.Array], rows: int
    ) -> dict[str, pa.ChunkedArray | pa.Array]:
        if self.box is None:
            return {name: pa.nulls(rows, pa.float64()) for name in BOX_COLUMNS.values()}
        nothing = pa.nulls(rows, pa.float64())
        return {
            name: pc.cast(columns.get(getattr(self.box, edge), nothing), pa.float64())
            for edge, name in BOX_COLUMNS.items()
        }

    def _object_ids(self, columns: Mapping[str, pa.ChunkedArray | pa.Array]) -> pa.Array:
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

    def _record(self, group: ImageSetGroup, match: Match) -> None:
        """Enter an image set's unused objects, and its cells without a parent, into the books."""
        for unused in match.unused:
            table = group.tables[unused.compartment]
            for row in _identity(table, unused.rows):
                self.log.add(_rejection(row, unused.compartment, unused.reason, unused.detail))
        anchor = group.tables[self.plan.anchor]
        for compartment, positions in match.orphans.items():
            for row in _identity(anchor, match.rows[self.plan.anchor][positions]):
                detail = f"it has no {compartment} object: the columns {compartment}_... are null"
                reason = f"no_{compartment.lower()}"
                self.log.add(_rejection(row, self.plan.anchor, reason, detail, incomplete=True))


def _gather(name: str, groups: list[ImageSetGroup], matches: list[Match]) -> pa.Table:
    """Rows of one compartment in the order of the joined rows; null where there is none."""
    tables = [group.tables[name] for group in groups]
    starts = np.cumsum([0, *(table.num_rows for table in tables)])
    indices: list[IntArray] = []
    for start, match in zip(starts, matches, strict=False):
        rows = match.rows[name]
        indices.append(np.where(rows == NO_ROW, NO_ROW, rows + start))
    return _take(tables, np.concatenate(indices))


def _gather_image(groups: list[ImageSetGroup], matches: list[Match], anchor: str) -> pa.Table:
    """The image set's row beside each of its joined rows."""
    tables = [group.tables.get(IMAGE, pa.table({})) for group in groups]
    starts = np.cumsum([0, *(table.num_rows for table in tables)])
    indices = [
        np.full(len(match.rows[anchor]), start if table.num_rows else NO_ROW, dtype=np.int64)
        for start, table, match in zip(starts, tables, matches, strict=False)
    ]
    return _take(tables, np.concatenate(indices))


def _take(tables: list[pa.Table], indices: IntArray) -> pa.Table:
    together = pa.concat_tables(tables, promote_options="default").combine_chunks()
    return together.take(pa.array(indices, mask=indices == NO_ROW))


def _identity(table: pa.Table, rows: IntArray) -> list[dict[str, object]]:
    if not len(rows):
        # An image set without any object of the compartment has no such columns either.
        return []
    wanted = ["well_id", "site_id", "image_id", "ObjectNumber", "source_file", "source_row"]
    found: list[dict[str, object]] = table.select(wanted).take(pa.array(rows)).to_pylist()
    return found


def _rejection(
    row: Mapping[str, object],
    compartment: str,
    reason: str,
    detail: str,
    *,
    incomplete: bool = False,
) -> Rejection:
    return Rejection(
        kind="object",
        reason=reason,
        detail=detail,
        outcome="incomplete" if incomplete else "rejected",
        compartment=compartment,
        well_id=row["well_id"],  # type: ignore[arg-type]
        site_id=row["site_id"],  # type: ignore[arg-type]
        image_id=row["image_id"],  # type: ignore[arg-type]
        object_number=row["ObjectNumber"],  # type: ignore[arg-type]
        source_file=row["source_file"],  # type: ignore[arg-type]
        source_row=row["source_row"],  # type: ignore[arg-type]
    )
