"""``kill -9`` at random moments of a plate's run: readers, the next run, and maintenance."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cp_assets.sample import SampleOptions, write_sample
from cp_assets_tests.end_to_end.kills import DATASET, STAGES, Builder
from cp_assets_tests.end_to_end.states import MANIFEST, Reader, ReaderBeside

SEED = 20261121
KILLS = 50
"""Of each of the two: a first build, and one that replaces a plate."""


@dataclass(frozen=True)
class Moment:
    """When to kill: after a share of a stage's calls, or without a stage of the seconds."""

    stage: str | None
    share: float


def moments(seed: int) -> list[Moment]:
    """As many of each stage as of those that a clock chooses, in random order."""
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    kinds = [*STAGES, None]
    found = [Moment(kinds[n % len(kinds)], chance.random()) for n in range(KILLS)]
    chance.shuffle(found)
    return found


@dataclass
class Plate:
    """A plate that is built into a warehouse which may hold an earlier state of it."""

    root: Path
    warehouse: Path
    builder: Builder
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    counts: list[dict[str, int]] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    looks: int = 0

    @property
    def kept(self) -> Path:
        return self.warehouse.with_name("kept")

    def prepare(self) -> None:
        """Keep the warehouse as it is now, and learn how it is when the plate is built."""
        if self.warehouse.exists():
            shutil.copytree(self.warehouse, self.kept)
        self.before = self._rows()
        self._count()
        start = time.monotonic()
        assert self._build() == 0
        self.seconds = time.monotonic() - start
        self.after = self._rows()
        self._count()
        assert self.after.keys() >= {MANIFEST, "images.image_crops"}
        # The books of both have the same line: an image set without objects, or none.
        same = {name for name in self.before if self.before[name] == self.after[name]}
        assert same <= {"quality_control.rejected_rows"}
        self._restore()
        told = self.warehouse.with_name("calls.json")
        assert self._build("count", out=str(told)) == 0
        self.calls = json.loads(told.read_text())

    def kill(self, moment: Moment, *, maintain_first: bool) -> None:
        """Kill a run at a moment, then hold what is there against what may be."""
        share = moment.share
        while self._killed(moment.stage, share) != -signal.SIGKILL:
            # The run was over before: threads do not make the same calls each time.
            share *= 0.9
        found = self._rows()
        for name in {*found, *self.before, *self.after}:
            if found.get(name) not in (self.before.get(name), self.after.get(name)):
                self._fault(moment, f"{name} is neither as before nor as after")
        if maintain_first:
            self._maintain(moment)
            if self._rows() != found:
                self._fault(moment, "maintenance changed rows")
        if self._build() != 0:
            self._fault(moment, "the next run failed")
        self._maintain(moment)
        if self._rows() != self.after:
            self._fault(moment, "the next run gave other rows")
        with self._reading() as reader:
            if not reader.manifest_is_true():
                self._fault(moment, "the manifest names other files than the tables have")

    def _killed(self, stage: str | None, share: float) -> int:
        self._restore()
        beside = ReaderBeside(self._reading, DATASET, self.counts)
        with beside:
            if stage is None:
                status = self._build(seconds=share * self.seconds)
            else:
                status = self._build(stage=stage, at=1 + int(share * self.calls[stage]))
        self.faults += beside.faults
        self.looks += beside.looks
        return status

    def _maintain(self, moment: Moment) -> None:
        if not (self.warehouse / "catalog.db").exists():
            return
        if self.builder.run("maintain", warehouse=str(self.warehouse)) != 0:
            self._fault(moment, "maintenance failed")
        with self._reading() as reader:
            if files := reader.misplaced():
                self._fault(moment, f"maintenance left or took {sorted(files)}")

    def _build(self, do: str = "build", **job: object) -> int:
        return self.builder.run(do, root=str(self.root), warehouse=str(self.warehouse), **job)

    def _restore(self) -> None:
        shutil.rmtree(self.warehouse, ignore_errors=True)
        if self.kept.exists():
            shutil.copytree(self.kept, self.warehouse)

    def _rows(self) -> dict[str, str]:
        with self._reading() as reader:
            return reader.rows()

    def _count(self) -> None:
        with self._reading() as reader:
            self.counts.append(reader.counts(DATASET))

    def _reading(self) -> Reader:
        return Reader.of_folder(self.warehouse)

    def _fault(self, moment: Moment, what: str) -> None:
        self.faults.append(f"{moment}: {what}")


def sample(folder: Path, *, seed: int, cells: int) -> Path:
    options = SampleOptions(
        plates=1, wells=1, sites=1, cells=cells, seed=seed, image_size=(100, 100)
    )
    return write_sample(folder / options.prefix, options).root


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Plate]:
    """A plate that is built into a folder that holds no warehouse yet."""
    builder = Builder()
    root = sample(tmp_path / "new", seed=1, cells=6)
    yield Plate(root, tmp_path / "first" / "warehouse", builder)
    builder.close()


@pytest.fixture
def replaced(tmp_path: Path) -> Iterator[Plate]:
    """A plate that is there already, with other rows, beside one of another dataset."""
    builder = Builder()
    old, new = (sample(tmp_path / f"{cells}", seed=cells, cells=cells) for cells in (6, 9))
    warehouse = tmp_path / "replaced" / "warehouse"
    for root, dataset in ((new, "other"), (old, DATASET)):
        job = {"root": str(root), "warehouse": str(warehouse), "dataset": dataset}
        assert builder.run("build", **job) == 0
    yield Plate(new, warehouse, builder)
    builder.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_100_moments(first: Plate, replaced: Plate) -> None:
    def kill_often(plate: Plate, seed: int) -> None:
        plate.warehouse.parent.mkdir(exist_ok=True)
        plate.prepare()
        for number, moment in enumerate(moments(seed)):
            plate.kill(moment, maintain_first=number % 3 == 0)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(kill_often, (first, replaced), (SEED, SEED + 1)))
    assert first.faults + replaced.faults == []
    # Readers looked often enough to have seen a part of a plate.
    assert min(first.looks, replaced.looks) > KILLS // 2
