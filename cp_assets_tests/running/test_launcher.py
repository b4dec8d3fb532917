"""The launcher of workers, with real gRPC servers of Dagster's."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import WorkerStatus
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget

from cp_assets.running.launcher import WorkersRunLauncher
from cp_assets_tests.docker.compose_file import find_program
from cp_assets_tests.services.processes import LOOPBACK, end, free_port, listens, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# A run that lasts until it is told to end.
_CODE = """
import time
import dagster as dg

@dg.op
def sleep():
    time.sleep(600)

@dg.job
def long():
    sleep()

defs = dg.Definitions(jobs=[long])
"""
_SECONDS = 120


@dataclass
class Workers:
    """Two places for a worker, and who is there."""

    folder: Path
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, port: int) -> None:
        """Start a worker; it is there when this returns."""
        log = self.folder / f"{port}.log"
        with log.open("ab") as stream:
            process = subprocess.Popen(
                [
                    *(find_program("dagster"), "api", "grpc", "--host", LOOPBACK),
                    *("--port", str(port), "--python-file", str(self.folder / "code.py")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        self.running[port] = process
        wait_until(lambda: listens(port), process, log)

    def end(self, port: int, how: signal.Signals) -> None:
        """End a worker."""
        end(self.running.pop(port), how)


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    """Two workers."""
    (tmp_path / "code.py").write_text(_CODE, encoding="utf-8")
    made = Workers(tmp_path)
    try:
        for port in made.ports:
            made.start(port)
        yield made
    finally:
        for port in list(made.running):
            made.end(port, signal.SIGTERM)


@pytest.fixture
def instance(workers: Workers) -> Iterator[dg.DagsterInstance]:
    """An instance whose runs go to the workers."""
    launcher = {
        "module": "cp_assets.running.launcher",
        "class": "WorkersRunLauncher",
        "config": {
            "workers": ", ".join(f"{LOOPBACK}:{port}" for port in workers.ports),
            "lost_after_seconds": 1,
        },
    }
    settings = {"run_launcher": launcher, "telemetry": {"enabled": False}}
    home = workers.folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(home)) as made:
        assert isinstance(made.run_launcher, WorkersRunLauncher)
        yield made


@pytest.fixture
def workspace(workers: Workers, instance: dg.DagsterInstance) -> Iterator[Any]:
    """What the daemon knows: the code, as the first worker tells it."""
    target = GrpcServerTarget(LOOPBACK, workers.ports[0], None, "code")
    with WorkspaceProcessContext(instance, target) as process:
        yield process.create_request_context()


def _launched(instance: dg.DagsterInstance, workspace: Any) -> dg.DagsterRun:
    repository = workspace.get_code_location("code").get_repository("__repository__")
    job = repository.get_full_job("long")
    run = create_run_for_test(
        instance,
        job_name="long",
        remote_job_origin=job.get_remote_origin(),
        job_code_origin=job.get_python_origin(),
    )
    instance.launch_run(run.run_id, workspace)
    _wait_for(instance, run.run_id, dg.DagsterRunStatus.STARTED)
    return _run(instance, run.run_id)


def _run(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    found = instance.get_run_by_id(run_id)
    assert found is not None
    return found


def _wait_for(instance: dg.DagsterInstance, run_id: str, status: dg.DagsterRunStatus) -> None:
    last = time.monotonic() + _SECONDS
    while (now := _run(instance, run_id).status) != status:
        assert time.monotonic() < last, f"{now}, not {status}"
        time.sleep(0.2)


def _port(run: dg.DagsterRun) -> int:
    port: int = json.loads(run.tags[".dagster/grpc_info"])["port"]
    return port


def test_runs_spread_and_are_missed_when_their_worker_dies(
    workers: Workers, instance: dg.DagsterInstance, workspace: Any
) -> None:
    launcher = instance.run_launcher
    first, second = _launched(instance, workspace), _launched(instance, workspace)
    assert {_port(first), _port(second)} == set(workers.ports)
    assert launcher.supports_check_run_worker_health
    for run in (first, second):
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING

    workers.end(_port(first), signal.SIGKILL)
    silent = launcher.check_run_worker_health(first)
    assert silent.status == WorkerStatus.RUNNING
    assert silent.msg is not None
    assert f"worker {LOOPBACK}:{_port(first)} does not answer" in silent.msg
    time.sleep(1.1)
    assert launcher.check_run_worker_health(first).status == WorkerStatus.FAILED
    assert launcher.check_run_worker_health(second).status == WorkerStatus.RUNNING

    workers.start(_port(first))
    restarted = launcher.check_run_worker_health(first)
    assert restarted.status == WorkerStatus.FAILED
    assert "was restarted and lost the run" in str(restarted.msg)

    assert launcher.terminate(second.run_id)
    _wait_for(instance, second.run_id, dg.DagsterRunStatus.CANCELED)


def test_without_a_worker_the_queue_is_told_to_try_again(
    workers: Workers, instance: dg.DagsterInstance, workspace: Any
) -> None:
    run = _launched(instance, workspace)
    for port in workers.ports:
        workers.end(port, signal.SIGKILL)
    # What the run queue retries a launch on.
    with pytest.raises(
        DagsterUserCodeUnreachableError, match=r"no worker answers at .*dagster\.yaml"
    ):
        instance.launch_run(run.run_id, workspace)
