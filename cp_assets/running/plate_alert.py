"""What people are told of plates that failed in a command: one message for all."""

from collections.abc import Iterable

from cp_assets.alerts import Alert
from cp_assets.redaction import redacted
from cp_assets.running.plate_run import PlateRun

_MOST_NAMED = 100
"""Plates that are named in a message: who reads it looks into the command's own summary."""


def alert_of_plates(command: str, runs: Iterable[PlateRun], plates: int) -> Alert | None:
    """What is told of a command's plates; None where none has failed but by an interrupt.

    Parameters
    ----------
    plates
        How many the command was to build.
    """
    failed = [run for run in runs if not run.succeeded and not run.interrupted]
    if not failed:
        return None
    failures = ((str(run.plate), redacted(run.reason)) for run in failed[:_MOST_NAMED])
    return Alert(job=command, failures=tuple(failures), failed_plates=len(failed), plates=plates)
