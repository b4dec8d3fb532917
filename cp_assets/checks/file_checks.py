"""Checks of a plate's measurement files: whether they have rows, of one run and with one header."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from cp_assets.checks.books import books_of, lines_of
from cp_assets.checks.image_rows import image_rows
from cp_assets.checks.outcome import Outcome, PlateTables, TableCheck, first_of, outcome_of
from cp_assets.measurements.columns import ADDED
from cp_assets.measurements.raw import RAW_MEASUREMENTS
from cp_assets.warehouse.spec import TableSpec

DAYS_APART = 2.0
"""Files of one run are written within hours; a large plate may take more than a day."""

_DAY = 24 * 3600
_WITHOUT_ROWS = ("empty_file", "header_only", "no_image_table", "unread_file")


def _have_rows(tables: PlateTables, _spec: TableSpec) -> Outcome:
    found = books_of(tables, RAW_MEASUREMENTS.name)
    sound = (found["reason"] == "header_only") & found["source_file"].isin(_without_objects(tables))
    faults = lines_of(found[found["reason"].isin(_WITHOUT_ROWS) & ~sound])
    files = sum(len(folder.tables) for folder in tables.sources.folders)
    figures = {"files": files, "without rows": len(faults)}
    return outcome_of(first_of(faults), f"{files} measurement files have rows", figures)


def _without_objects(tables: PlateTables) -> set[str]:
    """Files that need no row: the Image table says that no object was found."""
    names = [name for folder in tables.sources.folders for name in folder.tables]
    columns = [f"Count_{name}" for name in dict.fromkeys(names)]
    counts: dict[tuple[object, str], set[object]] = defaultdict(set)
    for row in image_rows(tables, ["source_folder", *columns]):
        for column in columns:
            counts[row["source_folder"], column].add(row.get(column))
    return {
        folder.relative_file(name)
        for folder in tables.sources.folders
        for name in folder.tables
        if counts[folder.relative, f"Count_{name}"] == {0}
    }


def _one_age(tables: PlateTables, _spec: TableSpec) -> Outcome:
    """Compare with the newest file: what was measured again must have been measured whole."""
    ages = {
        folder.relative_file(name): table.path.stat().st_mtime_ns / 1e9
        for folder in tables.sources.folders
        for name, table in folder.tables.items()
    }
    newest = max(ages.values())
    old = sorted(name for name, age in ages.items() if newest - age > DAYS_APART * _DAY)
    apart = (newest - min(ages.values())) / _DAY
    faults = [
        f"{name} is of {_date(ages[name])}, {(newest - ages[name]) / _DAY:.0f} days older than the "
        f"plate's newest file, of {_date(newest)}"
        for name in old
    ]
    figures = {"files": len(ages), "older than siblings": len(old), "days apart": round(apart, 3)}
    held = f"{len(ages)} measurement files were written within {DAYS_APART:.0f} days"
    return outcome_of(first_of(faults), held, figures)


def _same_columns(tables: PlateTables, _spec: TableSpec) -> Outcome:
    """Compare the files of a compartment: a feature that most have is missing in the others."""
    raw = tables.rows(RAW_MEASUREMENTS.name)
    compartments = raw.values("compartment")
    faults: list[str] = []
    for name in compartments:
        parts = [
            (_features(columns), batches)
            for columns, batches in raw.by_file(["source_file"], {"compartment": name})
        ]
        if len({features for features, _ in parts}) > 1:
            files: dict[frozenset[str], set[str]] = defaultdict(set)
            for features, batches in parts:
                for batch in batches:
                    files[features].update(batch["source_file"].unique().to_pylist())
            faults += _uneven(name, files)
    held = f"the files of each of {len(compartments)} compartments have the same features"
    return outcome_of(first_of(faults), held, {"compartments": len(compartments)})


def _features(names: Iterable[str]) -> frozenset[str]:
    return frozenset(n for n in names if n not in ADDED and not n.startswith("Metadata_"))


def _uneven(compartment: str, files: Mapping[frozenset[str], set[str]]) -> list[str]:
    """One line for each group of files that lack, or alone have, the same features."""
    everyone = frozenset().union(*files.values())
    lacking: dict[frozenset[str], list[str]] = defaultdict(list)
    for feature in sorted(frozenset().union(*files)):
        having = frozenset().union(*(names for own, names in files.items() if feature in own))
        if having != everyone:
            lacking[everyone - having].append(feature)
    faults = []
    for names, features in lacking.items():
        is_missing = 2 * len(names) <= len(everyone)
        few = sorted(names if is_missing else everyone - names)
        faults.append(
            f"{len(features)} columns of {compartment} ({', '.join(first_of(features))}) are "
            f"{'missing in' if is_missing else 'only in'} {len(few)} of {len(everyone)} files: "
            f"{', '.join(first_of(few))}"
        )
    return faults


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


FILES_HAVE_ROWS = TableCheck(
    "files_have_rows",
    "no measurement file is empty, left out, or a header alone where Count_<compartment> is not 0",
    _have_rows,
    blocking=False,
)
FILES_OF_ONE_AGE = TableCheck(
    "files_of_one_age",
    "no measurement file is days older than the plate's others, as if it were of a run before",
    _one_age,
    blocking=False,
)
FILES_HAVE_SAME_COLUMNS = TableCheck(
    "files_have_same_columns",
    "no measurement file lacks a feature that the plate's others of its compartment have",
    _same_columns,
    blocking=False,
)
