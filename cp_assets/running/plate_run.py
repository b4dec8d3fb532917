"""What became of a plate's run, in words."""

from collections import Counter
from dataclasses import dataclass, field

import dagster as dg

from cp_assets.datasets import PlateKey
from cp_assets.redaction import redacted


@dataclass(frozen=True)
class PlateRun:
    """One plate's Dagster run.

    Attributes
    ----------
    run_id
        None where no run was needed or made.
    states
        Asset -> ``written``, ``unchanged``, ``skipped`` or ``removed``.
    failed_checks, warnings
        Checks that did not hold, as ``asset: check: what was found``.
    error
        What made the run fail, or None.
    interrupted
        Whether somebody ended it.
    retries
        How often a step was tried again.
    rejected, rows, bytes
        Of the tables that the run wrote: rows, objects, crops and files that were rejected or are
        incomplete; rows; bytes of the data files.
    """

    plate: PlateKey
    run_id: str | None = None
    seconds: float = 0.0
    states: dict[str, str] = field(default_factory=dict)
    passed_checks: int = 0
    failed_checks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None
    interrupted: bool = False
    retries: int = 0
    rejected: int = 0
    rows: int = 0
    bytes: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether every table was built and no blocking check failed."""
        return self.error is None and not self.failed_checks

    @property
    def reason(self) -> str:
        """Why it failed, in one line."""
        return " ".join((self.error or "; ".join(self.failed_checks)).split())

    @property
    def verdict(self) -> str:
        """The run in a word: ``built``, ``unchanged`` or ``FAILED``."""
        if not self.succeeded:
            return "FAILED"
        return "built" if {"written", "removed"} & set(self.states.values()) else "unchanged"

    def lines(self) -> list[str]:
        """What happened, for a person to read."""
        counted = Counter(self.states.values())
        states = ", ".join(f"{count} {state}" for state, count in sorted(counted.items()))
        checks = f"{self.passed_checks} checks passed"
        if self.rejected:
            checks += f", {self.rejected:,} rejected or incomplete (see rejected_rows)"
        if self.retries:
            checks += f", {self.retries} tried again"
        verdict = "ok" if self.succeeded else "FAILED"
        return [
            f"  {verdict}: {states or 'nothing written'}; {checks}; {self.seconds:.1f} s",
            *(f"  failed: {line}" for line in self.failed_checks),
            *((f"  failed: {self.error}",) if self.error else ()),
            *(f"  warning: {line}" for line in self.warnings),
        ]


def plate_run(plate: PlateKey, result: dg.ExecuteInProcessResult, seconds: float) -> PlateRun:
    """What the events of a run say."""
    states, totals = {}, Counter[str]()
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        told = {name: one.value for name, one in materialization.metadata.items()}
        state = str(told.get("state", "written"))
        states[materialization.asset_key.to_user_string()] = state
        if state == "written":
            for name in ("rows", "bytes", "rejected or incomplete"):
                totals[name] += int(str(told.get(name, 0)))
    checks = result.get_asset_check_evaluations()
    bad = [check for check in checks if not check.passed]
    sayings = [(c, f"{c.asset_key.to_user_string()}: {c.check_name}: {c.description}") for c in bad]
    return PlateRun(
        plate=plate,
        run_id=result.run_id,
        seconds=seconds,
        states=states,
        passed_checks=len(checks) - len(bad),
        failed_checks=tuple(t for c, t in sayings if c.severity == dg.AssetCheckSeverity.ERROR),
        warnings=tuple(t for c, t in sayings if c.severity == dg.AssetCheckSeverity.WARN),
        error=None if result.success else _error(result),
        interrupted=_interrupted(result),
        retries=sum(event.is_step_up_for_retry for event in result.all_events),
        rejected=totals["rejected or incomplete"],
        rows=totals["rows"],
        bytes=totals["bytes"],
    )


def _interrupted(result: dg.ExecuteInProcessResult) -> bool:
    """Whether the run ended because somebody ended the process."""
    failures = [event.job_failure_data for event in result.all_events if event.is_job_failure]
    reasons = {data.failure_reason.value for data in failures if data.failure_reason}
    return "UNEXPECTED_TERMINATION" in reasons


def _error(result: dg.ExecuteInProcessResult) -> str:
    """The first failure of a run, in one line."""
    for event in result.all_events:
        if event.is_step_failure:
            return step_error(event)
    return "the run failed"


def step_error(event: dg.DagsterEvent) -> str:
    """What a failed step says, in one line, without secrets."""
    data = event.step_failure_data
    if data.user_failure_data and data.user_failure_data.description:
        return redacted(" ".join(str(data.user_failure_data.description).split()))
    error = data.error
    while error and error.cause:
        error = error.cause
    return redacted(str(error.message).strip().splitlines()[0]) if error else "the step failed"
