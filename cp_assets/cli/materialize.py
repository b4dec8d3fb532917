"""``cp-assets materialize``: many plates through Dagster, without its UI."""

import os
import sys
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from cp_assets.cli.common import (
    chosen_datasets,
    config_option,
    say,
    warehouse_location,
    warehouse_option,
)
from cp_assets.cli.progress import Progress, print_summary
from cp_assets.datasets import PlateKey, list_plates
from cp_assets.datasets.config import read_configuration
from cp_assets.errors import AlertError, PlateNotFoundError

if TYPE_CHECKING:
    from cp_assets.running.jobs import RunOptions
    from cp_assets.running.plate_run import PlateRun

_FAILED = 1
_INTERRUPTED = 130


@click.command(epilog="Example: cp-assets materialize 'cpg0016*/2021_04_26_Batch1/*' --workers 4")
@click.argument("patterns", nargs=-1)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Plates at a time, a process each.",
)
@click.option("--select", "selections", multiple=True, help="Assets, as Dagster selects them.")
@click.option("--force", is_flag=True, help="Write even what is unchanged.")
@click.option("--fail-fast", is_flag=True, help="Begin no further plate when one has failed.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Open the warehouse, say what would be built, and build nothing.",
)
@warehouse_option
@config_option
def materialize(  # noqa: PLR0913 - one option each
    patterns: tuple[str, ...],
    *,
    workers: int,
    selections: tuple[str, ...],
    force: bool,
    fail_fast: bool,
    dry_run: bool,
    warehouse: str | None,
    config: str | None,
) -> None:
    """Build all tables of the plates whose key matches a pattern, through Dagster.

    PATTERNS are matched with dataset/batch/plate; all plates by default. A plate whose tables are
    those of its inputs is passed over, so that the same command goes on where it was stopped. Runs
    are recorded in DAGSTER_HOME, where that is set. Ends with exit code 1 if a plate failed; those
    whom `alerts` of cp_assets.yaml names get one message of all that failed.
    """
    from cp_assets.running.headless import selected_assets
    from cp_assets.running.jobs import RunOptions

    wanted = _wanted(patterns, config)
    if config:
        os.environ["CP_ASSETS_CONFIG"] = config
    options = RunOptions(
        assets=selected_assets(selections),
        force=force,
        warehouse=warehouse_location(warehouse, config),
    )
    if dry_run:
        _say_what_would_be_done(wanted, options)
    else:
        sys.exit(_build(wanted, options, workers, fail_fast))


def _wanted(patterns: tuple[str, ...], config: str | None) -> list[PlateKey]:
    """The plates that the patterns match; each must match one."""
    found = [key for dataset in chosen_datasets(None, config) for key in list_plates(dataset)]
    for pattern in patterns:
        if not any(fnmatchcase(str(key), pattern) for key in found):
            msg = f"no plate matches {pattern!r}; `cp-assets plates` lists the keys"
            raise PlateNotFoundError(msg)
    chosen = patterns or ("*",)
    wanted = [key for key in found if any(fnmatchcase(str(key), one) for one in chosen)]
    if not wanted:
        msg = "no plate lies below the configured datasets; `cp-assets plates` says what it finds"
        raise PlateNotFoundError(msg)
    return wanted


def _say_what_would_be_done(wanted: list[PlateKey], options: "RunOptions") -> None:
    from cp_assets.running.headless import PlateBuilder
    from cp_assets.running.jobs import dagster_instance

    to_build = 0
    with dagster_instance() as instance:
        builder = PlateBuilder(instance, options)
        # A catalog that cannot be used is told even where no plate needs to be looked up in it.
        builder.warehouse()
        for key in wanted:
            finished = builder.is_finished(key)
            to_build += not finished
            click.echo(f"{key}\t{'unchanged' if finished else 'to be built'}")
    say(f"{to_build} of {len(wanted)} plates would be built")


def _build(wanted: list[PlateKey], options: "RunOptions", workers: int, fail_fast: bool) -> int:
    """Build the plates, say what becomes of them, give the exit code."""
    from cp_assets.running.headless import build_many

    runs = []
    start = time.perf_counter()
    interrupted = False
    with Progress(len(wanted)) as progress:
        try:
            for run in build_many(wanted, options, workers=workers, fail_fast=fail_fast):
                progress.done(run)
                runs.append(run)
        except KeyboardInterrupt:
            interrupted = True
    print_summary(runs, len(wanted), time.perf_counter() - start)
    _tell(runs, len(wanted))
    if interrupted:
        say("interrupted: what is built stays; the same command goes on from here")
        return _INTERRUPTED
    return 0 if all(run.succeeded for run in runs) else _FAILED


def _tell(runs: "list[PlateRun]", plates: int) -> None:
    """Send one alert for the plates that failed, where somebody is to be told."""
    from cp_assets.alerts import send_alert
    from cp_assets.running.plate_alert import alert_of_plates

    options = read_configuration().alerts
    alert = alert_of_plates("cp-assets materialize", runs, plates)
    if not (options and alert):
        return
    try:
        send_alert(alert, options)
    except AlertError as error:
        # The exit code tells of the plates.
        say(str(error))
