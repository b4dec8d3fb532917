"""Checks of the Image table: whether it agrees with itself and with the objects."""

from collections import defaultdict
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.checks.books import told
from cp_assets.checks.image_rows import (
    OF_IMAGES,
    PLACE,
    image_batches,
    image_columns,
    image_rows,
    where,
)
from cp_assets.checks.naming_checks import COLUMN_COLUMNS, ROW_COLUMNS
from cp_assets.checks.outcome import Outcome, PlateTables, TableCheck, first_of, outcome_of
from cp_assets.datasets.identity import PLATE_COLUMNS
from cp_assets.errors import ConfigurationError
from cp_assets.images import file_columns, image_sets
from cp_assets.images.image_sets import ChannelFile, ImageSet
from cp_assets.images.recorded import forms
from cp_assets.measurements.image_sets import SITE_COLUMNS, WELL_COLUMNS
from cp_assets.measurements.plan import IMAGE
from cp_assets.measurements.raw import RAW_MEASUREMENTS
from cp_assets.warehouse.spec import TableSpec

_NAMING = frozenset((*PLATE_COLUMNS, *WELL_COLUMNS, *SITE_COLUMNS, *ROW_COLUMNS, *COLUMN_COLUMNS))


def _no_nan(tables: PlateTables, _spec: TableSpec) -> Outcome:
    """Find ``nan`` where a name should be; the reader of CSV has made it null already."""
    faults = told(tables, RAW_MEASUREMENTS.name, ("no_key",))
    places: dict[str, list[str]] = defaultdict(list)
    names = [n for n in image_columns(tables) if n.startswith("Metadata_") or n in _NAMING]
    rows = 0
    for batch in image_batches(tables, names):
        rows += batch.num_rows
        for name in batch.schema.names:
            if name in names and pa.types.is_string(batch.schema.field(name).type):
                _add_nans(places[name], batch, name)
    for name, found in places.items():
        if found:
            what = "null or nan" if name in _NAMING else "the text nan"
            faults.append(f"{name} is {what} in {len(found)} row(s), such as {found[0]}")
    figures = {"image rows": rows, "columns": len(names), "faults": len(faults)}
    return outcome_of(first_of(faults), "no key or metadata column holds nan", figures)


def _add_nans(places: list[str], batch: pa.RecordBatch, name: str) -> None:
    text = pc.utf8_lower(pc.utf8_trim_whitespace(batch[name]))
    is_nan = pc.fill_null(pc.equal(text, "nan"), name in _NAMING)
    if pc.any(is_nan).as_py():
        places += [where(row) for row in batch.filter(is_nan).select(PLACE).to_pylist()]


def _counts(tables: PlateTables, _spec: TableSpec) -> Outcome:
    """Compare with different objects: an object that is there twice is told elsewhere."""
    raw = tables.rows(RAW_MEASUREMENTS.name)
    there = set(image_columns(tables))
    names = [n for n in raw.values("compartment") if n != IMAGE and f"Count_{n}" in there]
    objects = {name: _objects(tables, name) for name in names}
    counts = [f"Count_{name}" for name in names]
    faults: list[str] = []
    compared = 0
    for row in image_rows(tables, ["image_id", "source_folder", *counts]):
        for name in names:
            expected, found = row.get(f"Count_{name}"), objects[name].get(str(row["image_id"]), 0)
            compared += expected is not None
            if expected not in (None, found):
                faults.append(
                    f"{row['source_folder']}: {found} {name} were read and Count_{name} of the "
                    f"Image table is {expected}"
                )
    figures = {"counts": compared, "that disagree": len(faults)}
    return outcome_of(first_of(faults), f"{compared} counts are those of the objects read", figures)


def _objects(tables: PlateTables, compartment: str) -> dict[str, int]:
    """How many different objects of a compartment each image set has."""
    rows = tables.rows(RAW_MEASUREMENTS.name)
    keys = ["image_id", "ObjectNumber"]
    batches = list(rows.batches(keys, {"compartment": compartment}))
    if not batches:
        return {}
    counted = pa.Table.from_batches(batches).group_by("image_id")
    found = counted.aggregate([("ObjectNumber", "count_distinct")]).to_pylist()
    return {row["image_id"]: row["ObjectNumber_count_distinct"] for row in found}


def _channels(tables: PlateTables, _spec: TableSpec) -> Outcome:
    """Find channels of one image set that are one plane of one file."""
    raw = tables.rows(RAW_MEASUREMENTS.name)
    rows = raw.batches(file_columns(raw.columns(OF_IMAGES)), OF_IMAGES)
    try:
        sets = list(image_sets(rows))
    except ConfigurationError:
        return Outcome(passed=True, summary="no image file is named", figures={"image sets": 0})
    places: dict[str, list[str]] = defaultdict(list)
    for one in sets:
        for channels, file in _shared(one):
            places[channels].append(f"{file} in {one.source_folder}")
    faults = [
        f"channels {channels} have the same file in {len(found)} image set(s), such as {found[0]}, "
        "and no Series_, Frame_ or Channel_ that tells its planes apart"
        for channels, found in places.items()
    ]
    held = f"every channel of {len(sets)} image sets has its own image"
    return outcome_of(first_of(faults), held, {"image sets": len(sets), "shared": len(faults)})


def _shared(image_set: ImageSet) -> Iterator[tuple[str, str]]:
    """Channels that are one plane of one file; of a stack each has a plane of its own."""
    named: dict[object, list[ChannelFile]] = defaultdict(list)
    for one in (*image_set.channels, *image_set.others):
        plane = (forms(one)[0], one.series, one.frame, one.colour)
        named[plane].append(one)
    for same in named.values():
        if len(same) > 1:
            yield " and ".join(one.channel for one in same), same[0].file_name


NO_NAN_TEXT = TableCheck(
    "names_are_not_nan",
    "keys, plates, wells and sites are there, and no metadata of an image set is the text nan",
    _no_nan,
    blocking=False,
)
COUNTS_AGREE = TableCheck(
    "counts_agree",
    "each image set has as many objects as Count_<compartment> of the Image table says",
    _counts,
    blocking=False,
)
CHANNELS_DIFFER = TableCheck(
    "channels_differ", "no two channels of an image set are the same image", _channels
)
