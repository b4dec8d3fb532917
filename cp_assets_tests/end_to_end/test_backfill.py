"""A backfill of the asset graph through a real daemon, with the settings that we ship."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.backfill import PartitionBackfill

import cp_assets
from cp_assets.building import STEPS
from cp_assets.datasets import PlateKey, find_plates
from cp_assets.datasets.config import read_configuration
from cp_assets.definitions import defs
from cp_assets.partitions import plate_tags, register_plates
from cp_assets.running.jobs import dagster_instance
from cp_assets.sample import SampleOptions, write_sample
from cp_assets.warehouse.warehouse import open_warehouse

CODE = Path(cp_assets.__file__).parents[1]
OPTIONS = SampleOptions(plates=2, wells=1, sites=1, cells=4, seed=4, image_size=(100, 110))
BACKFILL = "of_a_test"
PATIENCE_SECONDS = 240.0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``DAGSTER_HOME`` with our ``dagster.yaml``, beside a dataset; one plate cannot be read."""
    write_sample(tmp_path / "data", OPTIONS)
    config = tmp_path / "cp_assets.yaml"
    config.write_text("warehouse: ./wh\ndatasets:\n- {dataset_id: set, root: data}\n")
    (tmp_path / "dagster").mkdir()
    shutil.copy(CODE / "dagster.yaml", tmp_path / "dagster")
    monkeypatch.setenv("CP_ASSETS_CONFIG", str(config))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("PYTHONPATH", f"{CODE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return tmp_path


def ask_for_backfill(instance: dg.DagsterInstance, plates: list[PlateKey]) -> None:
    """What the UI's dialog asks for: all assets of these plates."""
    register_plates(instance, plates)
    instance.add_backfill(
        PartitionBackfill.from_asset_partitions(
            backfill_id=BACKFILL,
            asset_graph=defs.resolve_asset_graph(),
            partition_names=[plate.partition_key for plate in plates],
            asset_selection=[dg.AssetKey(name) for name in STEPS],
            backfill_timestamp=time.time(),
            tags={},
            dynamic_partitions_store=instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
    )


def wait_for_runs(instance: dg.DagsterInstance, count: int, log: Path) -> list[dg.DagsterRun]:
    """The backfill's runs, when so many have ended."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        runs = instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": BACKFILL}))
        if len(runs) >= count and all(run.is_finished for run in runs):
            return list(runs)
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.2)


# Dagster calls what it has deprecated.
@pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources` is deprecated")
@pytest.mark.slow
def test_backfill_is_one_run_a_plate_with_its_tags(home: Path) -> None:
    plates = find_plates(read_configuration().datasets[0])
    good, bad = plates
    cells = plates[bad].folders[0].path / "Cells.csv"
    cells.write_text(cells.read_text().replace("ObjectNumber", "Number", 1))
    log = home / "daemon.log"
    with dagster_instance() as instance, log.open("wb") as stream:
        ask_for_backfill(instance, list(plates))
        daemon = subprocess.Popen(
            [sys.executable, "-m", "dagster._daemon", "run", "-m", "cp_assets.definitions"],
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=home,
            start_new_session=True,
        )
        try:
            runs = wait_for_runs(instance, 2, log)
        finally:
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()
        by_plate = {run.tags["dagster/partition"]: run for run in runs}
        assert sorted(by_plate) == sorted(map(str, plates))
        assert len(runs) == 2
        for plate in plates:
            run = by_plate[str(plate)]
            assert run.tags.items() >= plate_tags(plate).items()
            assert run.asset_selection == {dg.AssetKey(name) for name in STEPS}
        assert by_plate[str(good)].status is dg.DagsterRunStatus.SUCCESS
        assert by_plate[str(bad)].status is dg.DagsterRunStatus.FAILURE
        # Bad data are final: nobody tries them again.
        failed = instance.all_logs(by_plate[str(bad)].run_id)
        events = [record.dagster_event for record in failed if record.dagster_event]
        assert not [event for event in events if event.is_step_up_for_retry]
        assert "has no column ObjectNumber" in "".join(map(str, events))
    described = open_warehouse(home / "wh").describe().to_pylist()
    assert {row["table"] for row in described} >= {"images.image_crops", "provenance.manifest"}
    assert {row["plates"] for row in described} == {1}
