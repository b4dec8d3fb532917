"""Runs of ours whose process is gone.

The daemon watches runs that a launcher started. A run in the process of a command is nobody's: when
that is killed, the run would stay "started", and keep its slots in the concurrency pools, for ever.
"""

import os
import socket

import dagster as dg

HOST_TAG = "cp_assets/host"
PROCESS_TAG = "cp_assets/process"


def process_tags() -> dict[str, str]:
    """Tags of a run in this process: by them it is found again."""
    return {HOST_TAG: socket.gethostname(), PROCESS_TAG: str(os.getpid())}


def end_lost_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark the runs of this machine as failed whose process is gone; returns their ids.

    A run is left alone where its process number has been given to another process since.
    """
    ours = dg.RunsFilter(
        tags={HOST_TAG: socket.gethostname()}, statuses=[dg.DagsterRunStatus.STARTED]
    )
    lost = [run for run in instance.get_runs(ours) if not _is_alive(run.tags[PROCESS_TAG])]
    for run in lost:
        instance.report_run_failed(run, "the process of this run is gone; its plate is as before")
        if instance.event_log_storage.supports_global_concurrency_limits:
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in lost]


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
