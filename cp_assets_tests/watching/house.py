"""A dataset in memory and a daemon that may die at any moment, to watch the watching."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cp_assets.datasets import PlateKey
from cp_assets.datasets.plate_files import FILE_KINDS, FileKind, InputFile
from cp_assets.datasets.sensor_options import SensorOptions
from cp_assets.watching.cursor import Cursor
from cp_assets.watching.records import Observed, Requested
from cp_assets.watching.tick import Tick, TickResult

START = 1_800_000_000.0


def plate(number: int) -> PlateKey:
    return PlateKey("data", "batch", f"P{number:05}")


@dataclass
class Files:
    """Plates and their files; a file is its size and its time of change in seconds."""

    plates: dict[PlateKey, dict[str, tuple[int, float]]] = field(default_factory=dict)
    broken: dict[PlateKey, Exception] = field(default_factory=dict)
    seconds_a_file: float = 0.0
    clock: float = 0.0
    looked_at: list[PlateKey] = field(default_factory=list)

    def keys(self) -> tuple[PlateKey, ...]:
        return tuple(sorted(self.plates))

    def files(self, key: PlateKey) -> Iterator[InputFile]:
        self.looked_at.append(key)
        if key in self.broken:
            raise self.broken[key]
        for name, (size, changed) in self.plates[key].items():
            self.clock += self.seconds_a_file
            kind: FileKind = FILE_KINDS[len(name) % len(FILE_KINDS)]
            yield InputFile(kind, name, (size, changed), size, int(changed * 1e9))

    def upload(self, key: PlateKey, name: str, size: int, changed: float) -> None:
        self.plates.setdefault(key, {})[name] = (size, changed)

    def content(self, key: PlateKey) -> tuple[tuple[str, int, float], ...]:
        return tuple(sorted((name, *state) for name, state in self.plates[key].items()))


@dataclass
class Run:
    """A run that was launched, and what the plate's files were then."""

    key: PlateKey
    run_key: str
    digest: str
    number: int
    content: tuple[object, ...]
    at: float
    ended_at: float = float("inf")

    @property
    def is_finished(self) -> bool:
        return self.ended_at < float("inf")


@dataclass
class House:
    """What Dagster does with a tick: events first, then runs and the cursor, in its own order."""

    files: Files = field(default_factory=Files)
    options: SensorOptions = field(default_factory=SensorOptions)
    now: float = START
    cursor: str = ""
    partitions: set[PlateKey] = field(default_factory=set)
    seen: dict[PlateKey, Observed] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    built: dict[PlateKey, float] = field(default_factory=dict)
    gone: list[PlateKey] = field(default_factory=list)

    # What `Records` asks.

    def plates(self) -> set[PlateKey]:
        return set(self.partitions)

    def observed(self, key: PlateKey) -> Observed | None:
        return self.seen.get(key)

    def requested(self, key: PlateKey) -> Requested | None:
        last = next((run for run in reversed(self.runs) if run.key == key), None)
        return Requested(last.digest, last.number, last.is_finished) if last else None

    def built_at(self, key: PlateKey) -> float | None:
        return self.built.get(key)

    # What the daemon does.

    def tick(self, *, dies: str = "", cursor: str | None = None) -> TickResult:
        """One tick, as `dagster._daemon.sensor` does it.

        ``dies`` is empty, ``evaluating`` (nothing is kept), or ``reserving`` (events are stored,
        and the daemon is gone before it notes runs and cursor).
        """
        self.files.clock = 0.0
        remembered = Cursor.from_text(self.cursor if cursor is None else cursor)
        tick = Tick(self.files, self, self.options, now=self.now, clock=lambda: self.files.clock)
        result = tick.run(remembered)
        if dies == "evaluating":
            return result
        for key, state in result.observed:
            self.seen[key] = Observed(state.versions)
        for key, before in result.gone:
            self.seen[key] = Observed(before.versions, is_gone=True)
            self.gone.append(key)
        self.partitions |= set(result.new)
        if dies == "reserving":
            return result
        known = {run.run_key for run in self.runs}
        for one in result.requests:
            if one.run_key not in known:
                content = self.files.content(one.key)
                self.runs.append(
                    Run(one.key, one.run_key, one.digest, one.number, content, self.now)
                )
        self.cursor = result.cursor.to_text()
        return result

    def finish_runs(self) -> None:
        for run in self.runs:
            run.ended_at = min(run.ended_at, self.now)

    def settle(self, ticks: int) -> None:
        """Time goes by and nothing else happens."""
        for _ in range(ticks):
            self.now += self.options.quiet_seconds + 1
            self.finish_runs()
            self.tick()

    def runs_of(self, key: PlateKey) -> list[Run]:
        return [run for run in self.runs if run.key == key]
