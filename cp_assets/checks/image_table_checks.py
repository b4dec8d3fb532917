"""Checks of the Image table: whether it agrees with itself, the objects and the wells."""

import re
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
from cp_assets.checks.outcome import Outcome, PlateTables, TableCheck, first_of, outcome_of
from cp_assets.datasets.identity import PLATE_COLUMNS, row_number, well_sort_key
from cp_assets.errors import ConfigurationError
from cp_assets.images import file_columns, image_sets
from cp_assets.images.image_sets import ChannelFile, ImageSet
from cp_assets.images.recorded import forms
from cp_assets.measurements.image_sets import SITE_COLUMNS, WELL_COLUMNS
from cp_assets.measurements.plan import IMAGE
from cp_assets.measurements.raw import RAW_MEASUREMENTS
from cp_assets.warehouse.spec import TableSpec

_ROW_COLUMNS, _COLUMN_COLUMNS = ("Metadata_Row",), ("Metadata_Col", "Metadata_Column")
_NAMING = frozenset((*PLATE_COLUMNS, *WELL_COLUMNS, *SITE_COLUMNS, *_ROW_COLUMNS, *_COLUMN_COLUMNS))
_TIME_OR_PLANE = re.compile(
    r"Metadata_(?:T|Z|(?:Time|Plane|Slice|Stack|Cycle|Round|Frame)\w*)", re.IGNORECASE
)
_TWO_DIGITS = 10


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


def _wells(tables: PlateTables, _spec: TableSpec) -> Outcome:
    """Hold columns of plate row and plate column against the well."""
    there = image_columns(tables)
    pairs = [
        *((name, _row_of_well) for name in _ROW_COLUMNS if name in there),
        *((name, _column_of_well) for name in _COLUMN_COLUMNS if name in there),
    ]
    places: dict[str, list[str]] = defaultdict(list)
    compared = 0
    for row in image_rows(tables, ["well_id", *(name for name, _ in pairs)]):
        well, named = row.get("well_id"), [(n, f) for n, f in pairs if row.get(n) is not None]
        for name, of_well in named if well is not None else []:
            compared += 1
            text = str(row[name]).strip()
            if _number(text) != of_well(str(well)):
                told_by = f"{name} is {text} and the well {well}"
                cut = str(of_well(str(well))).endswith(text) and text.isdecimal()
                why = ", as if cut to its last digit" if cut else ""
                places[name].append(f"{told_by}{why} ({where(row)})")
    faults = [f"{found[0]}, and so on in {len(found)} rows" for found in places.values()]
    faults += _cut_columns(tables, there)
    held = f"{compared} plate rows and columns are those of their wells"
    return outcome_of(faults, held, {"compared": compared, "columns": len(pairs)})


def _cut_columns(tables: PlateTables, there: list[str]) -> list[str]:
    """Find plate columns cut to their last digit where nothing else says the well.

    Wells then fall together: told by image sets of one well and site that no time or plane tells
    apart, on a plate whose columns have one digit everywhere.
    """
    names = [name for name in _COLUMN_COLUMNS if name in there]
    wells = [name for name in WELL_COLUMNS if name in there]
    parts = [name for name in there if _TIME_OR_PLANE.fullmatch(name)]
    unnamed = {one.relative for one in tables.sources.folders if one.well is None}
    found: dict[tuple[object, object], list[tuple[object, str]]] = defaultdict(list)
    wanted = ["well_id", "site_id", "source_folder", *names, *wells, *parts]
    for row in image_rows(tables, wanted) if names else ():
        column = next((str(row[name]) for name in names if row.get(name) is not None), None)
        said = any(row.get(name) is not None for name in wells)
        if column is None or said or row["source_folder"] not in unnamed:
            continue
        if (_number(column.strip()) or 0) >= _TWO_DIGITS:
            return []
        moment = tuple(row.get(name) for name in parts)
        found[row.get("well_id"), row.get("site_id")].append((moment, where(row)))
    repeated = {
        place: rows
        for place, rows in found.items()
        if None not in place and len({moment for moment, _ in rows}) < len(rows)
    }
    if not repeated:
        return []
    (well, site), rows = next(iter(repeated.items()))
    return [
        f"{names[0]} is of one digit everywhere, and well {well}, site {site} is {len(rows)} image "
        f"sets ({', '.join(first_of([where for _, where in rows], 3))}), and so on for "
        f"{len(repeated)} wells and sites, as if it were cut to its last digit"
    ]


def _row_of_well(well: str) -> int:
    return well_sort_key(well)[0] + 1


def _column_of_well(well: str) -> int:
    return well_sort_key(well)[1]


def _number(text: str) -> int | None:
    """A plate row or column from 1, of digits or of a row's letters."""
    if text.isalpha() and text.isascii() and len(text) <= 2:  # noqa: PLR2004 - AF is the last row
        return row_number(text) + 1
    number, _, rest = text.partition(".")
    return int(number) if number.isdecimal() and not rest.strip("0") else None


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
WELLS_AGREE = TableCheck(
    "wells_agree",
    "Metadata_Row and Metadata_Col are those of the well, not cut short",
    _wells,
    blocking=False,
)
CHANNELS_DIFFER = TableCheck(
    "channels_differ", "no two channels of an image set are the same image", _channels
)
