"""What a step's failure becomes in Dagster, and what its run and its logs say."""

from __future__ import annotations

import json

import dagster as dg
import pytest

from cp_assets.assets import raw_measurements as module
from cp_assets.definitions import defs
from cp_assets.errors import (
    CpAssetsError,
    InputChangedError,
    MeasurementError,
    PassingFaultError,
    WarehouseConflictError,
    WarehouseUnavailableError,
    WarehouseWriteError,
)
from cp_assets.partitions import plate_tags
from cp_assets.running.jobs import RunOptions, run_plate
from cp_assets.running.steps import RETRIES, plain_failures
from cp_assets_tests.assets.conftest import Project

SECRET = "s3cr3t-Value"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = RETRIES._replace(delay=0.01)
    monkeypatch.setattr("cp_assets.running.steps.RETRIES", quick)


def fail_first(monkeypatch: pytest.MonkeyPatch, error: Exception, times: int) -> list[int]:
    """Let the step that reads the measurements fail some times; gives its attempts."""
    real = module.build_raw_measurements
    attempts: list[int] = []

    def build(*arguments: object) -> object:
        attempts.append(len(attempts))
        if len(attempts) <= times:
            raise error
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "build_raw_measurements", build)
    return attempts


def test_hierarchy_says_what_passes() -> None:
    passing = {InputChangedError, WarehouseConflictError, WarehouseUnavailableError}
    assert all(issubclass(one, PassingFaultError) for one in passing)
    assert not issubclass(WarehouseWriteError, PassingFaultError)
    assert not issubclass(MeasurementError, PassingFaultError)


@pytest.mark.parametrize(
    "error",
    [
        InputChangedError("Cells.csv changed while it was read"),
        WarehouseConflictError("another run wrote the same partition"),
        ConnectionResetError("reset by peer"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_fault_that_passes_is_tried_again(
    project: Project, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    attempts = fail_first(monkeypatch, error, times=2)
    run = run_plate(project.instance, project.plate, RunOptions(assets=("raw_measurements",)))
    assert run.succeeded
    assert len(attempts) == 3
    assert run.retries == 2
    assert run.states == {"raw_measurements": "written"}
    assert "2 tried again" in run.lines()[0]


def test_fault_that_does_not_pass_in_time_fails_with_its_own_words(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = WarehouseUnavailableError("the catalog does not answer")
    attempts = fail_first(monkeypatch, error, times=99)
    run = run_plate(project.instance, project.plate, RunOptions())
    assert len(attempts) == RETRIES.max_retries + 1
    assert run.error == "the catalog does not answer"
    assert run.states == {}


@pytest.mark.parametrize(
    "error", [MeasurementError("Cells.csv is empty"), ZeroDivisionError("a slip of ours")]
)
def test_final_fault_is_tried_once(
    project: Project, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    attempts = fail_first(monkeypatch, error, times=99)
    run = run_plate(project.instance, project.plate, RunOptions())
    assert len(attempts) == 1
    assert run.retries == 0
    assert run.error is not None
    assert str(error) in run.error


def test_failure_says_to_dagster_whether_a_retry_may_help() -> None:
    for error, may in ((MeasurementError("bad"), False), (InputChangedError("changed"), True)):
        with pytest.raises(dg.Failure, match=str(error)) as caught, plain_failures():
            raise error
        assert caught.value.allow_retries is may
    waits = []
    for attempts in range(RETRIES.max_retries):
        with pytest.raises(dg.RetryRequested) as asked, plain_failures(attempts):
            raise InputChangedError("changed")
        waits.append(asked.value.seconds_to_wait)
        assert asked.value.max_retries == RETRIES.max_retries
    assert waits[-1] > waits[0] > 0


def test_run_that_nobody_tagged_is_tagged_when_it_begins(project: Project) -> None:
    plate = project.plate
    project.instance.add_dynamic_partitions("plates", [plate.partition_key])
    # As a backfill of assets and automation conditions do it: not by our job.
    implicit = defs.resolve_job_def("__ASSET_JOB")
    result = implicit.execute_in_process(
        instance=project.instance,
        partition_key=plate.partition_key,
        asset_selection=[dg.AssetKey("raw_measurements")],
    )
    ours = run_plate(project.instance, plate, RunOptions(assets=("raw_measurements",)))
    for run_id in (result.run_id, ours.run_id):
        run = project.instance.get_run_by_id(str(run_id))
        assert run is not None
        assert run.tags.items() >= plate_tags(plate).items()


def test_json_log_of_a_run_says_whose_each_line_is(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CP_ASSETS_LOG", "json")
    options = RunOptions(assets=("raw_measurements",), log_level="DEBUG")
    run = run_plate(project.instance, project.plate, options)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    plate = project.plate
    for line in lines:
        assert line["run"] == run.run_id
        assert (line["dataset"], line["batch"], line["plate"]) == (
            *(plate.dataset_id, plate.batch_id, plate.plate_id),
        )
    (written,) = [line for line in lines if ": written, " in line["message"]]
    assert written["asset"] == "raw_measurements"
    assert written["rows"] == run.rows > 0
    assert written["seconds reading"] > 0
    assert {"PIPELINE_START", "STEP_SUCCESS"} <= {line.get("event") for line in lines}


def test_stages_of_a_table_are_metadata_that_the_ui_plots(project: Project) -> None:
    project.build()
    stages = {
        asset: {
            name.removeprefix("seconds ")
            for name, value in project.metadata(asset).items()
            if name.startswith("seconds ") and isinstance(value, dg.FloatMetadataValue)
        }
        for asset in ("raw_measurements", "joined_profiles", "image_crops")
    }
    writer = {"waiting", "writing", "committing"}
    assert stages == {
        "raw_measurements": {"reading", *writer},
        "joined_profiles": {"joining", *writer},
        "image_crops": {"decoding", "cutting", *writer},
    }
    crops = project.metadata("image_crops")
    total = sum(crops[f"seconds {name}"].value for name in writer)
    assert total == pytest.approx(crops["seconds"].value, rel=0.1)
    # 100 x 110 pixels of 16 bits, five channels, and as many masks and outlines of one file each.
    assert crops["bytes decoding"].value >= 5 * 100 * 110 * 2
    assert crops["bytes committing"].value == crops["bytes"].value


def test_secret_of_an_error_is_in_no_event(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    cause = OSError(f"cannot reach https://me:{SECRET}@host/x?token={SECRET}")
    error: CpAssetsError = MeasurementError(f"postgresql://me:{SECRET}@host/db is away")
    error.__cause__ = cause
    fail_first(monkeypatch, error, times=99)
    run = run_plate(project.instance, project.plate, RunOptions())
    assert run.error == "postgresql://***@host/db is away"
    records = project.instance.all_logs(str(run.run_id))
    assert records
    assert SECRET not in "".join(map(str, records))
    assert "is away" in "".join(map(str, records))
