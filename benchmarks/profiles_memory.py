"""Memory and time a site of the measurement assets: the same for any number of sites."""

from __future__ import annotations

import csv
import json
import shutil
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.context import Context, progress
from benchmarks.memory import build_command
from benchmarks.profile_data import gallery_site, write_linked_plate
from benchmarks.profile_sides import ASSETS
from benchmarks.results import Goal, Measurement, Row, Samples
from cp_assets.warehouse.warehouse import open_warehouse

MEMORY_GOAL = Goal(1536, unit="MiB")
GROWTH_GOAL = Goal(1.1)


@dataclass(frozen=True)
class Build:
    """Both assets of a plate, each built by a process of its own.

    Attributes
    ----------
    peaks
        Most resident memory of each asset's process, in MiB.
    seconds
        Wall time of both builds together, without imports.
    """

    sites: int
    peaks: dict[str, float]
    seconds: float


def measure(context: Context) -> Measurement:
    """Peak memory and time a site of 32 and of 512 sites, in turn.

    Raises
    ------
    FileNotFoundError
        If ``CP_ASSETS_TEST_DATA`` has not the data.
    """
    few, many = (2, 6) if context.quick else (32, 512)
    turns = (1, few, many) if context.quick else (1, few, few, many, few, few, 1)
    plates = {
        sites: write_linked_plate(gallery_site(), context.folder / f"sites{sites}", sites)
        for sites in {*turns}
    }
    builds: dict[int, list[Build]] = {sites: [] for sites in plates}
    if not context.quick:
        progress("one build that is not counted: it warms files and imports")
        _built(context.folder / "warehouse", plates[few], few)
    for sites in turns:
        builds[sites].append(_built(context.folder / "warehouse", plates[sites], sites))
    memory = [row for asset in ASSETS for row in _memory_rows(asset, builds[few], builds[many])]
    rows = (*memory, *_time_rows(builds[1], builds[few], builds[many]))
    return Measurement("profiles_memory", rows, _notes(builds, turns))


def _built(warehouse: Path, plate: Path, sites: int) -> Build:
    """Build both assets in a new warehouse, which is removed again."""
    peaks: dict[str, float] = {}
    took = 0.0
    for asset in ASSETS:
        command = build_command(asset, warehouse, plate)
        done = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        peaks[asset] = done["peak_mib"]
        took += done["seconds"]
    _check(warehouse, sites)
    shutil.rmtree(warehouse)
    told = ", ".join(f"{asset} {peak:.0f} MiB" for asset, peak in peaks.items())
    progress(f"{sites} sites: {took:.1f} s, peak of {told}")
    return Build(sites, peaks, took)


def _check(warehouse: Path, sites: int) -> None:
    """Every folder is an image set of its own, though all have one ImageNumber; no cell is lost."""
    ids = open_warehouse(warehouse).read_table("joined_profiles", columns=["image_id"])["image_id"]
    with (gallery_site() / "Cells.csv").open(newline="") as file:
        cells = sum(1 for _ in csv.reader(file)) - 1
    if (len(ids), len(ids.unique())) != (sites * cells, sites):
        msg = (
            f"{len(ids)} rows of {len(ids.unique())} image sets were written, "
            f"{sites * cells} of {sites} expected: the measurement would be wrong"
        )
        raise AssertionError(msg)


def _memory_rows(asset: str, few: list[Build], many: list[Build]) -> list[Row]:
    small, large = _peaks(asset, few), _peaks(asset, many)
    highest = max(large.values)
    return [
        Row(
            what=f"peak memory of `{asset}`, {many[0].sites} against {few[0].sites} sites",
            ours=large,
            figure=large.median / small.median,
            figure_is=f"{many[0].sites} sites / {few[0].sites} sites",
            goal=GROWTH_GOAL,
        ),
        Row(
            what=f"peak memory of `{asset}`, {many[0].sites} sites",
            ours=large,
            figure=highest,
            figure_is="highest peak",
            unit="MiB",
            goal=MEMORY_GOAL,
        ),
    ]


def _peaks(asset: str, builds: list[Build]) -> Samples:
    return Samples(tuple(build.peaks[asset] for build in builds), "MiB")


def _time_rows(one: list[Build], few: list[Build], many: list[Build]) -> list[Row]:
    """Time a site, with what every plate takes and without it, which could hide growth."""
    fixed = statistics.median(build.seconds for build in one)
    rows = []
    for what, less, goal in (("", 0.0, GROWTH_GOAL), (" without what one site takes", fixed, None)):
        small, large = _a_site(few, less), _a_site(many, less)
        rows.append(
            Row(
                what=f"time a site of both assets{what}, {many[0].sites} against {few[0].sites}",
                ours=large,
                figure=large.median / small.median,
                figure_is=f"{many[0].sites} sites / {few[0].sites} sites",
                goal=goal,
            )
        )
    return rows


def _a_site(builds: list[Build], fixed: float) -> Samples:
    """Seconds a site; those of one site are taken off where they are given."""
    off = 1 if fixed else 0
    return Samples(tuple((build.seconds - fixed) / (build.sites - off) for build in builds))


def _notes(builds: dict[int, list[Build]], turns: tuple[int, ...]) -> tuple[str, ...]:
    took = "; ".join(
        f"{sites}: {Samples(tuple(build.seconds for build in done))}, "
        + ", ".join(f"`{asset}` {_peaks(asset, done)}" for asset in ASSETS)
        for sites, done in sorted(builds.items())
    )
    return (
        "Each asset is built by a process of its own at the default settings, in a new warehouse "
        f"each time; plates of so many sites in turn: {', '.join(map(str, turns))}.",
        f"Seconds of both assets without imports, and peaks, by number of sites: {took}.",
        "Sites are folders of the gallery's layout. The object tables of all are hard links to "
        "those of one real site with 109 cells; every Image table is a file of its own with its "
        "well and site. Each folder became an image set of its own, and every cell a row.",
    )
