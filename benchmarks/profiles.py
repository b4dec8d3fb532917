"""Assets ``raw_measurements`` and ``joined_profiles``, against CytoTable and a typed CSV reader."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.context import Context, interleaved, progress, seconds
from benchmarks.peers import PeerTooSlowError
from benchmarks.profile_data import example_human, gallery_site, write_copies, write_database
from benchmarks.profile_floor import ONE_THREAD, TWO_THREADS, Floor, fastest
from benchmarks.profile_sides import Data, Ours, converting
from benchmarks.results import Goal, Measurement, Row, Samples

THREADS = (1, 2, 4)
"""Threads that CytoTable is given; its best is compared."""

SMALL_GOAL = Goal(20, at_least=True)
PLATE_GOAL = Goal(100, at_least=True)
FLOOR_GOAL = Goal(1.5)

Sides = dict[str, Callable[[], float]]


def measure(context: Context) -> Measurement:
    """ExampleHuman as CSV and as SQLite, and real sites of a plate with 6,000 columns.

    Raises
    ------
    FileNotFoundError
        If ``CP_ASSETS_TEST_DATA`` has not the data.
    """
    human = example_human()
    database = write_database(human, context.folder / "database" / "ExampleHuman.sqlite")
    small = [
        _small(context, data)
        for data in (
            Data("ExampleHuman", human),
            Data("ExampleHuman in SQLite", database, "cellprofiler_sqlite"),
        )
    ]
    rows, notes = _plate(context, gallery_site())
    return Measurement(
        "profiles",
        (*(row for of_data, _ in small for row in of_data), *rows),
        (*(note for _, note in small), *notes, *_NOTES),
    )


_NOTES = (
    "Ours: both assets, raw measurements and joined profiles, each committed to Iceberg, in a warm "
    "process; where nothing else is said in a new warehouse, whose tables are made first. Where "
    "'tables are there', as for every plate but the first, the plate is written again.",
    "Peer: `convert` into one Parquet file with presets `cellprofiler_csv` and "
    "`cellprofiler_sqlite`, imports not timed. DuckDB's extensions come with its environment. "
    "It ends the measurement if it joins another number of rows than ours.",
    "The SQLite file holds ExampleHuman's rows as ExportToDatabase writes them: `Per_Image`, "
    "`Per_Cells`, ... with typed columns and primary keys; plate and well are from file names.",
    "Floor: every column read with given types and written once as Parquet, a file a compartment, "
    "row groups of some 1,000 rows, zstd level as ours; nothing is joined, checked or committed. "
    "Ours writes the columns twice.",
    "The sites are copies of one real site with 109 cells, under wells and numbers of their own.",
)


def _small(context: Context, data: Data) -> tuple[list[Row], str]:
    """All sides in turn, the peer with each thread count in a process of its own."""
    progress(data.what)
    ours = Ours(context, data)
    mine: Sides = {
        "a new warehouse": ours,
        "tables are there": Ours(context, data, keeps_tables=True),
    }
    theirs: Sides = {}
    with ExitStack() as stack:
        for threads in THREADS[1:2] if context.quick else THREADS:
            peer = stack.enter_context(converting(context, data, threads, ours))
            theirs[_threads(threads)] = peer
        found = interleaved({**mine, **theirs}, 1 if context.quick else 5)
    best = min((found[name] for name in theirs), key=lambda samples: samples.median)
    rows = [
        Row(
            what=f"profiles of {data.what}; {where}",
            ours=found[where],
            peer=best,
            figure=best.median / found[where].median,
            figure_is="peer / ours",
            goal=SMALL_GOAL,
        )
        for where in mine
    ]
    tried = ", ".join(f"{name} {found[name]}" for name in theirs)
    return rows, f"{data.what}: the peer took {tried}. Each side joined {ours.rows} rows."


@dataclass(frozen=True)
class _PeerRun:
    """The peer's one conversion of the sites; stopped if the goal was exceeded before its end."""

    seconds: float
    stopped: bool


def _plate(context: Context, site: Path) -> tuple[list[Row], list[str]]:
    """Ours and the floors in turn, then the peer once, then ours and the floors again."""
    sites = 2 if context.quick else 32
    data = Data(f"{sites} sites of cpg0043", write_copies(site, context.folder / "sites", sites))
    threads, tried = _fastest_threads(context, site)
    progress(data.what)
    one, told_one = fastest(ONE_THREAD, data.folder, context.folder / "one")
    two, told_two = fastest(TWO_THREADS, data.folder, context.folder / "two")
    ours = Ours(context, data)
    sides: Sides = {
        "ours": ours,
        "one": _floor(one, data, context),
        "two": _floor(two, data, context),
    }
    repeats = 1 if context.quick else 3
    before = interleaved(sides, repeats)
    peer = _peer(context, data, threads, ours, before["ours"].median)
    after = interleaved(sides, repeats)
    found = {name: Samples(before[name].values + after[name].values) for name in sides}
    notes = [
        f"{data.what}: {repeats} rounds of ours and the floors before the peer and as many after. "
        f"The peer ran once, with {_threads(threads)}; {tried}.",
        f"Floor with one thread: {one.name}, the fastest of one trial each: {told_one}.",
        f"Floor with two threads: {two.name}, the fastest of one trial each: {told_two}.",
    ]
    return _plate_rows(data.what, found, peer), notes


def _floor(floor: Floor, data: Data, context: Context) -> Callable[[], float]:
    return lambda: seconds(lambda: floor.run(data.folder, context.folder))


def _fastest_threads(context: Context, site: Path) -> tuple[int, str]:
    """The peer's best thread count on four sites, and what each took."""
    if context.quick:
        return 2, "no other thread count was tried"
    data = Data("4 sites of cpg0043", write_copies(site, context.folder / "few", 4))
    ours = Ours(context, data)
    ours()
    took: dict[int, float] = {}
    for threads in THREADS:
        with converting(context, data, threads, ours) as peer:
            took[threads] = peer()
        progress(f"{data.what}, peer, {_threads(threads)}: {took[threads]:.1f} s")
    tried = ", ".join(f"{_threads(threads)} {time:.1f} s" for threads, time in took.items())
    return min(took, key=lambda threads: took[threads]), f"on {data.what} it took {tried}"


def _threads(number: int) -> str:
    return f"{number} thread{'s' if number > 1 else ''}"


def _peer(context: Context, data: Data, threads: int, ours: Ours, our_time: float) -> _PeerRun:
    limit = 5 if context.quick else 1.2 * PLATE_GOAL.limit * our_time
    with converting(context, data, threads, ours) as peer:
        try:
            run = _PeerRun(peer(limit=limit), stopped=False)
        except PeerTooSlowError as error:
            progress(str(error))
            return _PeerRun(limit, stopped=True)
    progress(f"peer, {_threads(threads)}: {run.seconds:.1f} s")
    return run


def _plate_rows(what: str, found: dict[str, Samples], peer: _PeerRun) -> list[Row]:
    mine = found["ours"]
    against_peer = Row(
        what=f"profiles of {what}",
        ours=mine,
        peer=Samples((peer.seconds,)),
        figure=peer.seconds / mine.median,
        figure_is="peer / ours" + (", at least: the peer was stopped" if peer.stopped else ""),
        goal=PLATE_GOAL,
    )
    return [
        against_peer,
        *(
            Row(
                what=f"profiles of {what}; floor with {threads}",
                ours=mine,
                floor=found[name],
                figure=mine.median / found[name].median,
                figure_is="ours / floor",
                goal=goal,
            )
            for name, threads, goal in (
                ("one", "one thread", FLOOR_GOAL),
                ("two", "two threads", None),
            )
        ),
    ]
