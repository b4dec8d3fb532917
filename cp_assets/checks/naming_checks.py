"""Checks of the names in the Image table: whether plate and well are those of the files."""

import re
from collections import defaultdict

from cp_assets.checks.image_rows import image_columns, image_rows, where
from cp_assets.checks.outcome import Outcome, PlateTables, TableCheck, first_of, outcome_of
from cp_assets.datasets.identity import PLATE_COLUMNS, row_number, well_sort_key
from cp_assets.measurements.image_sets import WELL_COLUMNS
from cp_assets.warehouse.spec import TableSpec

ROW_COLUMNS, COLUMN_COLUMNS = ("Metadata_Row",), ("Metadata_Col", "Metadata_Column")
"""Columns of a plate's row and column."""

_TIME_OR_PLANE = re.compile(
    r"Metadata_(?:T|Z|(?:Time|Plane|Slice|Stack|Cycle|Round|Frame)\w*)", re.IGNORECASE
)
_TWO_DIGITS = 10


def _plates(tables: PlateTables, _spec: TableSpec) -> Outcome:
    """Hold the plate that an Image table names against the one that its rows are taken for.

    Where the user has named the plate, the rows need only agree with each other.
    """
    sources = tables.sources
    plate = sources.image_plate or sources.key.plate_id
    expected = None if sources.dataset.plate_id is not None else _short(plate)
    names = [name for name in PLATE_COLUMNS if name in image_columns(tables)][:1]
    places: dict[str, list[str]] = defaultdict(list)
    compared = 0
    for row in image_rows(tables, names):
        named = str(row.get(names[0]) or "").strip() if names else ""
        compared += bool(named)
        expected = expected or _short(named)
        if named and _short(named) != expected:
            places[named].append(where(row))
    faults = [
        f"{names[0]} is {named} in {len(found)} rows of plate {plate}, such as {found[0]}"
        for named, found in places.items()
    ]
    held = f"{compared} rows of the Image table name the plate, and none another"
    return outcome_of(first_of(faults), held, {"compared": compared})


def _short(plate: str) -> str:
    """A plate's name without what an instrument puts behind it: ``BR1__2020-Measurement1``."""
    return plate.strip().partition("__")[0].casefold()


def _wells(tables: PlateTables, _spec: TableSpec) -> Outcome:
    """Hold columns of plate row and plate column against the well."""
    there = image_columns(tables)
    pairs = [
        *((name, _row_of_well) for name in ROW_COLUMNS if name in there),
        *((name, _column_of_well) for name in COLUMN_COLUMNS if name in there),
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
    names = [name for name in COLUMN_COLUMNS if name in there]
    wells = [name for name in WELL_COLUMNS if name in there]
    parts = [name for name in there if _TIME_OR_PLANE.fullmatch(name)]
    folders = tables.sources.folders
    unnamed = {one.relative for one in folders if one.well is None or not one.is_named_so}
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


PLATES_AGREE = TableCheck(
    "plates_agree",
    "the plate that the Image table names is the one that the files are of",
    _plates,
    blocking=False,
)
WELLS_AGREE = TableCheck(
    "wells_agree",
    "Metadata_Row and Metadata_Col are those of the well, not cut short",
    _wells,
    blocking=False,
)
