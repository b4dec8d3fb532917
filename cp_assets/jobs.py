"""Building plates through Dagster without its UI: the same assets, checks and event log."""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from cp_assets.datasets import PlateKey
from cp_assets.partitions import register_plates
from cp_assets.resources import FORCE_TAG

logger = logging.getLogger(__name__)

build_plates = dg.define_asset_job(
    "build_plates",
    selection=dg.AssetSelection.all(),
    description="All tables of a plate, with their checks, in one process.",
)

# What happened is in the event log and the summary; a stack trace on the console would bury both.
_QUIET = {"console": {"config": {"log_level": "CRITICAL"}}}
# No telemetry, no newsletter dialog over a newcomer's first look at the graph, and no more plates
# at once than a small machine has room for, however many a backfill asks for.
_INSTANCE_SETTINGS = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 2
"""


@dataclass(frozen=True)
class PlateRun:
    """One plate's Dagster run.

    Attributes
    ----------
    states
        Asset -> ``written``, ``unchanged`` or ``skipped``.
    failed_checks, warnings
        Checks that did not hold, as ``asset: check: what was found``.
    error
        What made the run fail, or None.
    rejected
        Rows, objects, crops and files that were rejected or are incomplete, of the tables written.
    """

    plate: PlateKey
    run_id: str
    seconds: float
    states: dict[str, str]
    passed_checks: int
    failed_checks: tuple[str, ...]
    warnings: tuple[str, ...]
    error: str | None
    rejected: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether every table was built and no blocking check failed."""
        return self.error is None and not self.failed_checks

    def lines(self) -> list[str]:
        """What happened, for a person to read."""
        counted = Counter(self.states.values())
        states = ", ".join(f"{count} {state}" for state, count in sorted(counted.items()))
        verdict = "ok" if self.succeeded else "FAILED"
        checks = f"{self.passed_checks} checks passed"
        if self.rejected:
            checks += f", {self.rejected:,} rejected or incomplete (see rejected_rows)"
        return [
            f"  {verdict}: {states or 'nothing written'}; {checks}; {self.seconds:.1f} s",
            *(f"  failed: {line}" for line in self.failed_checks),
            *((f"  failed: {self.error}",) if self.error else ()),
            *(f"  warning: {line}" for line in self.warnings),
        ]


@contextmanager
def dagster_instance(home: Path | None = None) -> Iterator[dg.DagsterInstance]:
    """The Dagster instance of a folder, of ``DAGSTER_HOME``, or one that is forgotten afterwards.

    Parameters
    ----------
    home
        Made if it does not exist.
    """
    if home is None and not os.environ.get("DAGSTER_HOME"):
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance
        return
    folder = home or Path(os.environ["DAGSTER_HOME"])
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "dagster.yaml"
    if not settings.exists():
        settings.write_text(_INSTANCE_SETTINGS, encoding="utf-8")
    with dg.DagsterInstance.from_config(str(folder.resolve())) as instance:
        yield instance


def materialize_plates(
    instance: dg.DagsterInstance,
    plates: Iterable[PlateKey],
    *,
    force: bool = False,
    warehouse: str | None = None,
    report: Callable[[str], None] = logger.info,
) -> Iterator[PlateRun]:
    """Run the job ``build_plates`` for each plate; a plate that fails does not stop the others.

    Parameters
    ----------
    force
        Write even what is unchanged.
    warehouse
        A folder or the name of a configured PyIceberg catalog, instead of what is configured.
    """
    # The code location is imported when it is used: it takes seconds.
    from cp_assets.definitions import defs

    job = defs.resolve_job_def(build_plates.name)
    wanted = list(plates)
    register_plates(instance, wanted)
    tags = {FORCE_TAG: "true"} if force else {}
    for number, plate in enumerate(wanted, start=1):
        report(f"plate {number} of {len(wanted)}: {plate}")
        start = time.perf_counter()
        result = job.execute_in_process(
            instance=instance,
            partition_key=plate.partition_key,
            tags=tags,
            run_config=_run_config(warehouse),
            raise_on_error=False,
        )
        run = _plate_run(plate, result, time.perf_counter() - start)
        for line in run.lines():
            report(line)
        yield run


def _run_config(warehouse: str | None) -> dict[str, Any]:
    config: dict[str, Any] = {"loggers": _QUIET}
    if warehouse is not None:
        config["resources"] = {"warehouse": {"config": {"location": warehouse}}}
    return config


def _plate_run(plate: PlateKey, result: dg.ExecuteInProcessResult, seconds: float) -> PlateRun:
    states = {}
    rejected = 0
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        state = materialization.metadata.get("state")
        lost = materialization.metadata.get("rejected or incomplete")
        rejected += int(str(lost.value)) if lost else 0
        states[materialization.asset_key.to_user_string()] = (
            str(state.value) if state else "written"
        )
    checks = result.get_asset_check_evaluations()
    bad = [check for check in checks if not check.passed]
    told = [(c, f"{c.asset_key.to_user_string()}: {c.check_name}: {c.description}") for c in bad]
    return PlateRun(
        plate=plate,
        run_id=result.run_id,
        seconds=seconds,
        states=states,
        passed_checks=len(checks) - len(bad),
        failed_checks=tuple(t for c, t in told if c.severity == dg.AssetCheckSeverity.ERROR),
        warnings=tuple(t for c, t in told if c.severity == dg.AssetCheckSeverity.WARN),
        error=None if result.success else _error(result),
        rejected=rejected,
    )


def _error(result: dg.ExecuteInProcessResult) -> str:
    """The first failure of a run, in one line."""
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                return str(data.user_failure_data.description)
            error = data.error
            while error and error.cause:
                error = error.cause
            return str(error.message).strip().splitlines()[0] if error else "the step failed"
    return "the run failed"
