"""Checks of a plate's measurement files: whether they have rows, and are of one run."""

from datetime import UTC, datetime

from cp_assets.checks.books import told
from cp_assets.checks.outcome import Outcome, PlateTables, TableCheck, first_of, outcome_of
from cp_assets.measurements.raw import RAW_MEASUREMENTS
from cp_assets.warehouse.spec import TableSpec

DAYS_APART = 2.0
"""Files of one run are written within hours; a large plate may take more than a day."""

_DAY = 24 * 3600


def _have_rows(tables: PlateTables, _spec: TableSpec) -> Outcome:
    faults = told(tables, RAW_MEASUREMENTS.name, ("empty_file", "header_only"))
    files = sum(len(folder.tables) for folder in tables.sources.folders)
    figures = {"files": files, "without rows": len(faults)}
    return outcome_of(first_of(faults), f"{files} measurement files have rows", figures)


def _one_age(tables: PlateTables, _spec: TableSpec) -> Outcome:
    """Compare with the newest file: what was measured again must have been measured whole."""
    ages = {
        folder.relative_file(name): table.path.stat().st_mtime
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


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


FILES_HAVE_ROWS = TableCheck(
    "files_have_rows",
    "no measurement file is empty or a header alone",
    _have_rows,
    blocking=False,
)
FILES_OF_ONE_AGE = TableCheck(
    "files_of_one_age",
    "no measurement file is days older than the plate's others, as if it were of a run before",
    _one_age,
    blocking=False,
)
