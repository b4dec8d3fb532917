"""A run whose process was killed is told as failed, and its slots are free again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from cp_assets.running.jobs import dagster_instance
from cp_assets.running.lost_runs import end_lost_runs, process_tags

PROGRAM = """
import os, signal
import dagster as dg
from cp_assets.running.jobs import dagster_instance
from cp_assets.running.lost_runs import process_tags

@dg.op(pool="image_work")
def dies():
    os.kill(os.getpid(), signal.SIGKILL)

@dg.job
def lost():
    dies()

with dagster_instance() as instance:
    lost.execute_in_process(instance=instance, tags=process_tags())
"""


@pytest.mark.slow
def test_killed_run_is_told_as_failed_and_gives_its_slot_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dagster_instance() as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots("image_work", 1)
        done = subprocess.run([sys.executable, "-c", PROGRAM], check=False, timeout=200)
        assert done.returncode == -signal.SIGKILL
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.STARTED
        assert storage.get_concurrency_info("image_work").active_run_ids == {run.run_id}
        assert end_lost_runs(instance) == [run.run_id]
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.FAILURE
        assert not storage.get_concurrency_info("image_work").active_run_ids
        assert end_lost_runs(instance) == []


def test_run_of_a_living_process_or_another_machine_is_left_alone() -> None:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def living() -> None:
        nothing()

    with dg.DagsterInstance.ephemeral() as instance:
        for tags in (process_tags(), {**process_tags(), "cp_assets/host": "another"}):
            run = instance.create_run_for_job(living, tags=tags)
            instance.report_dagster_event(_start(run), run.run_id)
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.STARTED}
        assert str(os.getpid()) in {run.tags["cp_assets/process"] for run in instance.get_runs()}
        assert end_lost_runs(instance) == []


def _start(run: dg.DagsterRun) -> dg.DagsterEvent:
    return dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.RUN_START.value, job_name=run.job_name
    )
