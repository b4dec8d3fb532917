"""A run launcher for workers that are not pods: any number of Dagster's own gRPC servers.

Dagster's default launcher starts a run inside the code server that the UI reads from, and cannot
tell that a run went down with its server. This one starts it in the least busy of the workers that
``dagster.yaml`` names, and lets Dagster's run monitoring see when a worker is gone, so that the run
fails and is tried again elsewhere.
"""

import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import GetCurrentRunsResult
from dagster._serdes import ConfigurableClassData, deserialize_value

_PROBE_SECONDS = 5
_LOST_AFTER_SECONDS = 120


class WorkersRunLauncher(dg.DefaultRunLauncher):
    """Dagster's default launcher, over several workers.

    Parameters
    ----------
    workers
        ``host:port`` of each, separated by commas. All addresses of a host count: the replicas of a
        Compose service share one name.
    lost_after_seconds
        How long a worker may be silent until its runs count as lost.
    """

    def __init__(
        self,
        workers: str,
        lost_after_seconds: int = _LOST_AFTER_SECONDS,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__(inst_data=inst_data)
        self._workers = workers
        self._lost_after_seconds = lost_after_seconds
        self._silent_since: dict[str, float] = {}

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """What ``dagster.yaml`` may say."""
        return {
            "workers": dg.Field(dg.StringSource),
            "lost_after_seconds": dg.Field(
                dg.IntSource, is_required=False, default_value=_LOST_AFTER_SECONDS
            ),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> "WorkersRunLauncher":
        """The launcher that ``dagster.yaml`` describes."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start a run in the worker with the fewest runs.

        Raises
        ------
        DagsterUserCodeUnreachableError
            If no worker answers; the run queue tries again.
        """
        run = context.dagster_run
        busy = {}
        for client in self._clients():
            try:
                busy[client] = len(_current_runs(client))
            except DagsterUserCodeUnreachableError:
                # Another one may answer.
                continue
        if not busy:
            msg = (
                f"no worker answers at {self._workers}; expected a gRPC server of Dagster there: "
                "start one, or correct run_launcher in dagster.yaml"
            )
            raise DagsterUserCodeUnreachableError(msg)
        chosen = min(busy, key=lambda client: busy[client])
        self.launch_run_from_grpc_client(self._instance, run, chosen)
        self._run_ids.add(run.run_id)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring may ask after a run's worker."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the worker that a run was started in still has it."""
        client = self._get_grpc_client_for_termination(run.run_id)
        if client is None:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "the run names no worker")
        try:
            known = run.run_id in _current_runs(client)
        except DagsterUserCodeUnreachableError as error:
            return self._of_silent_worker(run.run_id, str(error))
        self._silent_since.pop(run.run_id, None)
        if known:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.FAILED, f"worker {_address(client)} was restarted and lost the run"
        )

    def _of_silent_worker(self, run_id: str, why: str) -> CheckRunHealthResult:
        """A worker may be out of reach for a while; its runs go on."""
        now = time.monotonic()
        seconds = now - self._silent_since.setdefault(run_id, now)
        if seconds < self._lost_after_seconds:
            return CheckRunHealthResult(WorkerStatus.RUNNING, why)
        del self._silent_since[run_id]
        return CheckRunHealthResult(WorkerStatus.FAILED, f"{why}, for {seconds:.0f} s")

    def _clients(self) -> Iterator[DagsterGrpcClient]:
        for worker in self._workers.split(","):
            host, _, port = worker.strip().rpartition(":")
            for address in _addresses(host, int(port)):
                yield DagsterGrpcClient(host=address, port=int(port))


def _addresses(host: str, port: int) -> list[str]:
    """Every address of a host; none if its name is not known, as when no replica runs."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    return [f"[{one}]" if ":" in one else one for one in addresses]


def _current_runs(client: DagsterGrpcClient) -> list[str]:
    """Ids of the runs that a worker is at."""
    # gRPC itself would wait a minute for a machine that is gone, and monitoring with it.
    host = str(client.host).strip("[]")
    try:
        socket.create_connection((host, client.port), timeout=_PROBE_SECONDS).close()
    except OSError as error:
        msg = f"worker {_address(client)} does not answer ({error})"
        raise DagsterUserCodeUnreachableError(msg) from error
    answer = deserialize_value(client.get_current_runs(), GetCurrentRunsResult)
    return list(answer.current_runs)


def _address(client: DagsterGrpcClient) -> str:
    return f"{client.host}:{client.port}"
