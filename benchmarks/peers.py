"""Peers: each in an environment of its own, driven line by line so that runs can be interleaved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
PEERS = ("cytotable", "lance", "webdataset")
"""Each has a lock ``locks/<name>.lock``: every package with its exact version."""


def version(peer: str) -> str:
    """Name and version of a peer, as its lock has it."""
    package = {"lance": "pylance"}.get(peer, peer)
    lines = (HERE / "locks" / f"{peer}.lock").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{package}=="))


def install(peer: str, cache: Path) -> Path:
    """Make the peer's environment below ``cache`` unless it is there; returns its folder.

    Raises
    ------
    subprocess.CalledProcessError
        If pip fails; what it says is on standard error.
    """
    lock = HERE / "locks" / f"{peer}.lock"
    home, stamp = cache / peer, cache / peer / "installed.lock"
    if stamp.is_file() and stamp.read_text() == lock.read_text():
        return home
    print(f"installing {version(peer)} and what it needs ...", file=sys.stderr)
    venv.create(home, clear=True, with_pip=True)
    pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
    # The lock is complete: nothing to resolve.
    subprocess.run([*pip, "-qq", "--no-deps", "-r", str(lock)], check=True, stdout=sys.stderr)
    stamp.write_text(lock.read_text())
    return home


@dataclass(frozen=True)
class Peer:
    """A running peer that answers one question after the other."""

    name: str
    requests: IO[str]
    answers: IO[str]

    def ask(self, question: str, **arguments: Any) -> dict[str, Any]:
        """Let the peer do one thing; what it returns.

        Raises
        ------
        RuntimeError
            If it stopped instead; its traceback is on standard error.
        """
        print(json.dumps({"ask": question, **arguments}), file=self.requests, flush=True)
        answer = self.answers.readline()
        if not answer:
            msg = f"{self.name} stopped while asked for {question!r}; its traceback is above"
            raise RuntimeError(msg)
        return dict(json.loads(answer))


@contextmanager
def running(peer: str, script: str, cache: Path, folder: Path) -> Iterator[Peer]:
    """Start a script of ``peer_scripts/`` in the peer's environment, in ``folder``."""
    home = install(peer, cache)
    # As an activated environment has it: Parsl starts programs by name.
    environment = {**os.environ, "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(
        [home / "bin" / "python", HERE / "peer_scripts" / script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
    )
    assert process.stdin is not None  # noqa: S101 - asked for above; for the type checker
    assert process.stdout is not None  # noqa: S101
    with process:
        yield Peer(version(peer), process.stdin, process.stdout)
        process.stdin.close()
