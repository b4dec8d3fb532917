"""Sensors with a real daemon: a plate that is uploaded meanwhile is built, untouched by hand."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from cp_assets.demo import DemoHome
from cp_assets.running.jobs import dagster_instance
from cp_assets.sample import SampleOptions, SampleTruth, write_sample
from cp_assets.warehouse.warehouse import open_warehouse
from cp_assets_tests.ui.server import started, tail

OPTIONS = SampleOptions(plates=1, wells=1, sites=1, cells=6, seed=4, image_size=(100, 110))
_SECONDS = 240

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def sample(tmp_path: Path) -> SampleTruth:
    return write_sample(tmp_path / "sample", OPTIONS)


@dataclass(frozen=True)
class Daemon:
    """A daemon that runs, and what it works on."""

    home: DemoHome
    log: Path
    instance: dg.DagsterInstance

    def runs(self, count: int) -> list[dg.DagsterRun]:
        """Its first runs, the newest first, when they have ended."""
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            runs = list(self.instance.get_runs())
            if len(runs) >= count and all(run.is_finished for run in runs):
                return runs
            time.sleep(0.5)
        pytest.fail(f"expected {count} ended runs after {_SECONDS} s:\n{tail(self.log)}")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    home = DemoHome(tmp_path / "home")
    (home.folder / "prefix").mkdir(parents=True)
    home.config.write_text(
        f"warehouse: {home.warehouse}\n"
        "sensor: {enabled: true, interval: 2, quiet_seconds: 3}\n"
        "datasets:\n- {dataset_id: s, root: prefix, layout: cell-painting-gallery}\n"
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    log = scratch / "daemon.log"
    command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "cp_assets.definitions"]
    with (
        dagster_instance(home.dagster) as instance,
        started(command, scratch, log, home.environment()),
    ):
        yield Daemon(home, log, instance)


def test_uploaded_plate_is_built_and_a_changed_file_builds_it_again(
    sample: SampleTruth, daemon: Daemon
) -> None:
    root = daemon.home.folder / "prefix"
    shutil.copytree(sample.root, root, dirs_exist_ok=True)
    (run,) = daemon.runs(1)
    assert run.status == dg.DagsterRunStatus.SUCCESS, tail(daemon.log)
    assert run.tags["cp_assets/dataset"] == "s"
    assert open_warehouse(daemon.home.warehouse).read_table("joined_profiles").num_rows
    (table,) = root.glob("workspace/analysis/*/*/analysis/*/Nuclei.csv")
    table.write_text(table.read_text())
    again, _ = daemon.runs(2)
    assert again.status == dg.DagsterRunStatus.SUCCESS
    assert again.tags["dagster/run_key"] != run.tags["dagster/run_key"]
    time.sleep(8)
    # Some more ticks have requested nothing more.
    assert len(daemon.instance.get_runs()) == 2
