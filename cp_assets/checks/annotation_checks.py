"""Checks of what annotates a plate: its plate map, and the files that the user named."""

from collections.abc import Iterable

from cp_assets.checks.books import books_of, lines_of
from cp_assets.checks.outcome import Outcome, PlateTables, TableCheck, first_of, outcome_of
from cp_assets.datasets.identity import well_sort_key
from cp_assets.datasets.metadata_files import find_annotation
from cp_assets.measurements.plan import IMAGE
from cp_assets.measurements.raw import RAW_MEASUREMENTS
from cp_assets.measurements.well_tables import wells_named
from cp_assets.warehouse.spec import TableSpec

_ELSEWHERE = ("no_plate_map", "no_such_well")
"""Reasons that the check of the plate map tells about."""


def _plate_map(tables: PlateTables, _spec: TableSpec) -> Outcome:
    found = find_annotation(tables.sources)
    faults = [f"{fault.source_file}: {fault.detail}" for fault in found.faults]
    maps = [file for file in found.files if file.is_plate_map]
    wells = _measured_wells(tables)
    for file in maps:
        mapped = wells_named(file.path)
        if len(mapped) != len(wells):
            faults.append(f"{len(wells)} wells were measured and {file.name} has {len(mapped)}")
        faults += _differing(f"measured and not in {file.name}", wells - mapped)
        faults += _differing(f"in {file.name} and not measured", mapped - wells)
    figures = {"wells measured": len(wells), "plate maps": len(maps)}
    held = "the wells measured are those of the plate map" if maps else "there is no plate map"
    return outcome_of(faults, held, figures)


def _measured_wells(tables: PlateTables) -> set[str]:
    rows = tables.rows(RAW_MEASUREMENTS.name)
    batches = rows.batches(["well_id"], {"compartment": IMAGE})
    return {well for batch in batches for well in batch["well_id"].unique().to_pylist() if well}


def _differing(what: str, wells: Iterable[str]) -> list[str]:
    found = sorted(wells, key=well_sort_key)
    return [f"{what}: {', '.join(first_of(found))}"] if found else []


def _annotation(tables: PlateTables, spec: TableSpec) -> Outcome:
    """Show what the books say of annotation: entries of the join that are of no compartment."""
    found = books_of(tables, spec.name)
    found = found[found["compartment"].isna() & ~found["reason"].isin(_ELSEWHERE)]
    files = len(find_annotation(tables.sources).files)
    figures = {"files": files, "entries": len(found)}
    held = f"{files} files of annotation agree with each other and with the wells"
    return outcome_of(first_of(lines_of(found)), held, figures)


WELLS_OF_PLATE_MAP = TableCheck(
    "wells_of_plate_map",
    "the wells measured are those of the plate map",
    _plate_map,
    blocking=False,
)
ANNOTATION_AGREES = TableCheck(
    "annotation_agrees",
    "files of annotation do not contradict each other, and have one row for every well",
    _annotation,
    blocking=False,
)
