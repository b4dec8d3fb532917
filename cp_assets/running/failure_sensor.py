"""The sensor that tells people of runs that failed."""

import dagster as dg

from cp_assets.alerts import Alert, send_alert
from cp_assets.datasets.config import read_configuration
from cp_assets.errors import CpAssetsError
from cp_assets.partitions import BATCH_TAG, DATASET_TAG, PLATE_TAG
from cp_assets.running.plate_run import step_error

_BACKFILL_TAG = "dagster/backfill"
_WILL_RETRY_TAG = "dagster/will_retry"


def _default_status() -> dg.DefaultSensorStatus:
    """Running where somebody is to be told."""
    try:
        told = bool(read_configuration().alerts)
    except CpAssetsError:
        # Whoever uses the configuration says what is wrong with it.
        told = False
    return dg.DefaultSensorStatus.RUNNING if told else dg.DefaultSensorStatus.STOPPED


@dg.run_failure_sensor(
    name="failed_runs",
    minimum_interval_seconds=30,
    default_status=_default_status(),
    description="Tells those whom `alerts` of cp_assets.yaml names of runs that failed.",
)
def failed_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Send an alert, unless the run is tried again or others of its backfill have failed alike."""
    options = read_configuration().alerts
    if not options:
        return dg.SkipReason("cp_assets.yaml has no alerts: nobody is told")
    if context.dagster_run.tags.get(_WILL_RETRY_TAG) == "true":
        return dg.SkipReason("the run is tried again: it is told when that fails too")
    alert = alert_of(context, options.ui_url)
    if not _is_told(alert.failed_in_backfill):
        return dg.SkipReason(f"failure {alert.failed_in_backfill} of a backfill is not told")
    send_alert(alert, options)
    return None


def alert_of(context: dg.RunFailureSensorContext, ui_url: str | None) -> Alert:
    """What is told of a run."""
    run = context.dagster_run
    failures = [
        (str(event.step_key), step_error(event)) for event in context.get_step_failure_events()
    ]
    if not failures:
        failures = [("run", context.failure_event.message or "the run failed")]
    return Alert(
        run=run.run_id,
        job=run.job_name,
        dataset=run.tags.get(DATASET_TAG),
        batch=run.tags.get(BATCH_TAG),
        plate=run.tags.get(PLATE_TAG),
        failures=tuple(failures),
        failed_in_backfill=_failed_in_backfill(context.instance, run),
        link=f"{ui_url.rstrip('/')}/runs/{run.run_id}" if ui_url else None,
    )


def _failed_in_backfill(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int:
    """Which failure of its backfill a run is, counted from 1; 0 where it is of none."""
    backfill = run.tags.get(_BACKFILL_TAG)
    record = instance.get_run_record_by_id(run.run_id)
    if backfill is None or record is None:
        return 0
    earlier = dg.RunsFilter(
        tags={_BACKFILL_TAG: backfill},
        statuses=[dg.DagsterRunStatus.FAILURE],
        updated_before=record.update_timestamp,
    )
    return 1 + instance.get_runs_count(earlier)


def _is_told(failed: int) -> bool:
    """The 1st, 10th, 100th ... failure of a backfill: a thousand alike are no thousand messages."""
    return failed in {0, 1} or str(failed).strip("0") == "1"
