"""A process that builds plates in children of its own, which are killed at a moment that is asked.

Started once, it imports everything and starts no thread; each child is a fork of it and so begins
to work at once. Jobs are lines of JSON on standard input, exit statuses lines of standard output.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from subprocess import PIPE, Popen
from types import FrameType
from typing import Any

import cp_assets
from cp_assets.building.maintaining import maintain_warehouse
from cp_assets.conversion import convert
from cp_assets.datasets.maintenance import MaintenanceOptions
from cp_assets.warehouse.warehouse import open_warehouse

DATASET = "sample"
AT_ONCE = MaintenanceOptions(timedelta(), 1, timedelta())

STAGES = {
    "reading": ("cp_assets/measurements/", "cp_assets/datasets/"),
    "cutting": ("cp_assets/images/", "cp_assets/payloads/"),
    "uploading": ("cp_assets/warehouse/files.py", "cp_assets/warehouse/writer.py", "pyiceberg/io/"),
    "committing": (
        "cp_assets/warehouse/commits.py",
        "cp_assets/warehouse/tables.py",
        "cp_assets/warehouse/sql_catalog.py",
        "pyiceberg/avro/",
        "pyiceberg/catalog/",
        "pyiceberg/manifest.py",
        "pyiceberg/table/",
    ),
}
"""Stage of a plate's run -> where the code of it lies."""

# What a build imports on its way, so that no child has to.
_IMPORTED_LATER = ("imagecodecs", "sqlite3", "sqlalchemy.dialects.sqlite")


def build(root: str, warehouse: str, dataset: str = DATASET) -> None:
    """A plate's whole graph."""
    convert(root, warehouse, dataset_id=dataset, include_source_images=True)


class Tracer:
    """Counts calls of Python functions by stage, in all threads; may kill at one of them."""

    def __init__(self, stage: str | None = None, at: int = 0) -> None:
        self.counts: Counter[str] = Counter()
        self._stage, self._at = stage, at
        self._number = count(1)
        self._of_file: dict[str, str | None] = {}

    def __call__(self, frame: FrameType, _event: str, _argument: object) -> None:
        file = frame.f_code.co_filename
        if file not in self._of_file:
            stages = (s for s, parts in STAGES.items() if any(part in file for part in parts))
            self._of_file[file] = next(stages, None)
        stage = self._of_file[file]
        if stage is None:
            return
        self.counts[stage] += 1
        if stage == self._stage and next(self._number) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextlib.contextmanager
    def tracing(self) -> Iterator[None]:
        threading.settrace(self)
        sys.settrace(self)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]


def _do(job: dict[str, Any]) -> None:
    """One job, in a child."""
    if job["do"] == "count":
        tracer = Tracer()
        with tracer.tracing():
            build(job["root"], job["warehouse"])
        Path(job["out"]).write_text(json.dumps(tracer.counts))
    elif job["do"] == "build":
        tracer = Tracer(job.get("stage"), job.get("at", 0))
        with tracer.tracing() if job.get("stage") else contextlib.nullcontext():
            build(job["root"], job["warehouse"], job.get("dataset", DATASET))
    elif job["do"] == "maintain":
        list(maintain_warehouse(open_warehouse(job["warehouse"]), options=AT_ONCE))


def _serve() -> None:
    for name in _IMPORTED_LATER:
        importlib.import_module(name)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if not child:
            status = 1
            try:
                _do(job)
                status = 0
            except BaseException:  # noqa: BLE001 - told, and the exit status says so
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        if "seconds" in job:
            time.sleep(job["seconds"])
            os.kill(child, signal.SIGKILL)
        _, ended = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(ended)}\n")
        sys.stdout.flush()


class Builder:
    """The other end: starts the process, and hands it jobs."""

    def __init__(self) -> None:
        here = str(Path(cp_assets.__file__).parents[1])
        path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = Popen(
            [sys.executable, "-m", "cp_assets_tests.end_to_end.kills"],
            stdin=PIPE,
            stdout=PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def run(self, do: str, **job: object) -> int:
        """Do a job; gives the child's exit status, negative for the signal that killed it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": do, **job}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


if __name__ == "__main__":
    _serve()
