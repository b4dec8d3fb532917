"""The sensor tells of a run that failed: once, with what it said, and not a thousand times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from cp_assets.alerts import Alert
from cp_assets.datasets import PlateKey
from cp_assets.definitions import defs
from cp_assets.errors import MeasurementError
from cp_assets.partitions import plate_tags
from cp_assets.running.failure_sensor import failed_runs
from cp_assets.running.steps import plain_failures

PLATE = PlateKey("cpg", "B1", "P 1")
TOLD: list[Alert] = []
"""Filled by the hook that the tests configure."""


@dg.op
def reads() -> None:
    with plain_failures(None):
        raise MeasurementError("Cells.csv is empty; see https://me:s3cr3t@host/x")


@dg.job(tags=plate_tags(PLATE))
def fails() -> None:
    reads()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    TOLD.clear()
    config = tmp_path / "cp_assets.yaml"
    config.write_text(
        f"alerts: {{hook: '{__name__}:TOLD.append', ui_url: 'https://dagster.example/'}}\n"
    )
    monkeypatch.setenv("CP_ASSETS_CONFIG", str(config))
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def fail(instance: dg.DagsterInstance, **tags: str) -> dg.RunFailureSensorContext:
    """A run that fails, as the sensor gets it."""
    tags = {name.replace("_", "/", 1): value for name, value in tags.items()}
    result = fails.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
    (event,) = [event for event in result.all_events if event.is_job_failure]
    return dg.build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=event,
    ).for_run_failure()


def test_failure_is_told_with_plate_reason_and_link(instance: dg.DagsterInstance) -> None:
    context = fail(instance)
    assert failed_runs(context) is None
    (alert,) = TOLD
    assert alert.run == context.dagster_run.run_id
    assert (alert.job, alert.dataset, alert.batch, alert.plate) == ("fails", "cpg", "B1", "P 1")
    assert alert.failures == (("reads", "Cells.csv is empty; see https://***@host/x"),)
    assert alert.link == f"https://dagster.example/runs/{alert.run}"
    assert alert.failed_in_backfill == 0


def test_run_that_is_tried_again_is_not_told(instance: dg.DagsterInstance) -> None:
    failed_runs(fail(instance, dagster_will_retry="true"))
    assert TOLD == []


def test_backfill_is_told_at_its_1st_10th_100th_failure(instance: dg.DagsterInstance) -> None:
    # In any order: a sensor that was away has many at once.
    contexts = [fail(instance, dagster_backfill="abc") for _ in range(11)]
    for context in reversed(contexts):
        failed_runs(context)
    assert [alert.failed_in_backfill for alert in TOLD] == [10, 1]


def test_nobody_is_told_where_nobody_is_named(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    (tmp_path / "cp_assets.yaml").write_text("{}")
    skipped = failed_runs(fail(instance))
    assert isinstance(skipped, dg.SkipReason)
    assert "nobody is told" in str(skipped.skip_message)


def test_sensor_is_part_of_the_code_location_and_off_until_it_is_configured() -> None:
    sensor = defs.resolve_sensor_def("failed_runs")
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
