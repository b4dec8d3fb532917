"""What every step of a run does beside its work: says whose it is, and how it failed."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from cp_assets.datasets import PlateKey
from cp_assets.errors import CpAssetsError, PassingFaultError
from cp_assets.logs import log_fields
from cp_assets.partitions import plate_tags
from cp_assets.redaction import redact_error
from cp_assets.warehouse.faults import passes

RETRIES = dg.RetryPolicy(
    max_retries=5, delay=3, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
"""How often a step is tried again where a fault passes by itself: after about 3, 9, 21, 45 and 93
seconds, so that a database has time to restart and a file to be uploaded. Plates that were thrown
back together do not come back together."""

StepContext = dg.AssetExecutionContext | dg.AssetCheckExecutionContext | dg.OutputContext


@contextmanager
def plate_step(context: StepContext) -> Iterator[None]:
    """Run a step of a plate: its logs and its run say whose it is, its failures what to do."""
    step = (
        context.step_context
        if isinstance(context, dg.OutputContext)
        else context.get_step_execution_context()
    )
    plate = PlateKey.parse(context.partition_key)
    missing = {k: v for k, v in plate_tags(plate).items() if step.run_tags.get(k) != v}
    if missing:
        # Runs that a backfill of assets or an automation condition asked for have no such tags.
        step.instance.add_run_tags(step.run_id, missing)
    fields = {
        "dataset": plate.dataset_id,
        "batch": plate.batch_id,
        "plate": plate.plate_id,
        "asset": step.step.key,
        "run": step.run_id,
    }
    with log_fields(**fields), plain_failures(step.previous_attempt_count):
        yield


@contextmanager
def plain_failures(attempts: int | None = None) -> Iterator[None]:
    """Turn an error of ours into a failure that says what it says, for Dagster's UI.

    Parameters
    ----------
    attempts
        How often this step was tried before; None where nothing can be tried again. A fault that
        passes by itself (`PassingFaultError`, or what catalog and storage raise) asks for another
        try, `RETRIES` times; every other failure is final at once.
    """
    try:
        yield
    except Exception as error:
        redact_error(error)
        passing = isinstance(error, PassingFaultError) or passes(error)
        if not passing and not isinstance(error, CpAssetsError):
            raise
        failure = dg.Failure(description=str(error), allow_retries=passing)
        failure.__cause__ = error
        if not passing or attempts is None:
            raise failure from error
        raise dg.RetryRequested(
            max_retries=RETRIES.max_retries, seconds_to_wait=RETRIES.calculate_delay(attempts + 1)
        ) from failure
