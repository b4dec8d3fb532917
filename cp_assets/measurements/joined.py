"""``profiles.joined_profiles``: one cell a row, its compartments side by side.

The compartments of the raw measurements lie in the same order of image sets, so the join walks
through them together, a few image sets at a time; memory does not grow with the plate.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.errors import JoinError
from cp_assets.measurements.boxes import BoxColumns, resolve_box_columns
from cp_assets.measurements.columns import ADDED, IMAGE_SET_KEYS
from cp_assets.measurements.groups import ImageSetGroup, walk_together
from cp_assets.measurements.joined_columns import JOINED_PROFILES, joined_name, measured_columns
from cp_assets.measurements.joining import Joiner
from cp_assets.measurements.plan import IMAGE, JoinPlan, plan_join
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from cp_assets.datasets.model import PlateSources
    from cp_assets.rejections import RejectionLog

ROWS_AT_ONCE = 2048
"""Most anchor objects joined at once: whole image sets are gathered until there are that many."""

VALUES_AT_ONCE = 8 * 2**20
"""Most values joined at once, 64 MiB of doubles: 1,000 rows of a plate of 8,000 columns."""

RawScan = Callable[[str, Sequence[str] | None], Iterable[pa.RecordBatch]]
"""Compartment, columns or None for all -> its raw rows of the plate, in their stored order."""


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
        If there is no object, the compartments cannot be joined, or two of their columns would have
        one name.
    BoxColumnsError
        If a given map of box columns does not fit, or the fallback finds several columns.
    """
    _refuse_no_objects(sources, raw_columns)
    plan = plan_join(raw_columns, sources.dataset, str(sources.key))
    box = _box_columns(sources, plan, raw_columns)
    wanted: dict[str, Sequence[str]] = {name: raw_columns[name] for name in plan.compartments}
    if IMAGE in raw_columns:
        wanted[IMAGE] = _image_columns(sources, raw_columns[IMAGE], log)
    _check_names(sources, wanted)
    streams = {
        name: raw(name, None if columns is raw_columns[name] else columns)
        for name, columns in wanted.items()
    }
    joiner = Joiner(plan, box, log, drop_empty_rows=sources.dataset.drop_empty_rows)
    width = sum(map(len, wanted.values()))
    rows_at_once = min(ROWS_AT_ONCE, VALUES_AT_ONCE // width)
    pending: list[ImageSetGroup] = []
    rows = 0
    numbers = {"ObjectNumber", *(link.column for link in plan.links)}
    for group in walk_together(streams, sources, numbers):
        pending.append(group)
        rows += group.keys[plan.anchor].num_rows if plan.anchor in group.keys else 0
        if rows >= rows_at_once:
            yield from joiner.join(pending)
            pending, rows = [], 0
    yield from joiner.join(pending)


def _refuse_no_objects(sources: PlateSources, raw_columns: Mapping[str, object]) -> None:
    """Refuse a plate whose object tables are there and have no row that could be used."""
    tables = [
        (folder, name) for folder in sources.folders for name in folder.tables if name != IMAGE
    ]
    if not tables or raw_columns.keys() - {IMAGE}:
        return
    folder, name = tables[0]
    more = f" and {len(tables) - 1} more" if len(tables) > 1 else ""
    msg = (
        f"plate {sources.key}: no object was measured: {folder.relative_file(name)}{more} without "
        "a row, or all rows were rejected (quality_control.rejected_rows says which). Without "
        "cells there is nothing to join: leave the plate out, or convert it without the join"
    )
    raise JoinError(msg)


def _image_columns(sources: PlateSources, there: Sequence[str], log: RejectionLog) -> Sequence[str]:
    """The columns of the Image table that joined rows get, and the keys that lead to them."""
    patterns = sources.dataset.image_columns
    if patterns is None:
        return there
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in there):
            log.add(_no_such_column(pattern))
    return [
        name
        for name in there
        if name in {*ADDED, *IMAGE_SET_KEYS}
        or any(fnmatch.fnmatchcase(name, one) for one in patterns)
    ]


def _no_such_column(pattern: str) -> Rejection:
    return Rejection(
        kind="file",
        reason="no_such_column",
        detail=(
            f"image_columns has {pattern!r}, which fits no column of the Image table; mend the "
            "pattern, or leave it out"
        ),
        outcome="incomplete",
        compartment=IMAGE,
    )


def _check_names(sources: PlateSources, columns: Mapping[str, Sequence[str]]) -> None:
    """Refuse compartments of which two columns, or one and a key, would have one joined name.

    Raises
    ------
    JoinError
        Names both.
    """
    taken = dict.fromkeys(JOINED_PROFILES.schema.names, "a column that identifies the row")
    for compartment, names in columns.items():
        for place, joined in measured_columns(compartment, tuple(names)):
            own = f"{names[place]} of {compartment}.csv"
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
