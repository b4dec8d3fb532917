"""Engines in environments of their own: a process each, asked line by line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.dataset as pads

from cp_assets_tests.engines import in_process
from cp_assets_tests.engines.in_process import Question
from cp_assets_tests.services.missing import missing

READERS = Path(__file__).parent / "readers"
ENVIRONMENTS = Path(os.environ.get("CP_ASSETS_ENGINES") or Path(sys.prefix) / "engines")
"""Where `make install-engines` puts them, each with a lock in ``locks/``."""


class EngineError(Exception):
    """What an engine says that it cannot do."""


@dataclass(frozen=True, eq=False)
class Engine:
    """An engine that answers.

    Attributes
    ----------
    process
        None for an engine of our own environment.
    """

    name: str
    folder: Path
    process: subprocess.Popen[str] | None = None

    def read(self, **question: object) -> pa.Table:
        """The rows that a question is about.

        Raises
        ------
        EngineError
            If the engine cannot read them.
        """
        out = self.folder / f"{uuid4()}.parquet"
        self._ask({**question, "out": str(out)})
        return pads.dataset(out, format="parquet").to_table()

    def _ask(self, question: Question) -> None:
        if self.process is None:
            try:
                in_process.write(self.name, question)
            except Exception as error:
                raise EngineError(f"{type(error).__name__}: {error}") from error
            return
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, f"{self.name} stopped"
        if error := json.loads(answer).get("error"):
            raise EngineError(error)


@contextmanager
def running(
    name: str, script: str, environment: str, folder: Path, *arguments: str
) -> Iterator[Engine]:
    """Start a script of ``readers/`` in an environment of ``locks/``."""
    python = ENVIRONMENTS / environment / "bin" / "python"
    if not python.is_file():
        missing(f"no {python}, which {name} needs (`make install-engines`)")
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with (
        (folder / "log.txt").open("w") as log,
        subprocess.Popen(
            [python, READERS / script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,
            env=own,
        ) as process,
    ):
        yield Engine(name, folder, process)
        assert process.stdin is not None
        process.stdin.close()


def java_is_there() -> bool:
    """Whether Spark can run."""
    return shutil.which("java") is not None
