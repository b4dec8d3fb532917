"""Peers: each in an environment of its own, driven line by line so that runs can be interleaved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import venv
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


def version(peer: str) -> str:
    """Name and version of a peer, as its lock ``locks/<name>.lock`` has it."""
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


class PeerTooSlowError(Exception):
    """The peer was stopped when its time was up."""


@dataclass(frozen=True)
class Peer:
    """A running peer that answers one question after the other."""

    name: str
    process: subprocess.Popen[str]

    def ask(self, question: str, limit: float | None = None, **arguments: Any) -> dict[str, Any]:
        """Let the peer do one thing; what it returns.

        Parameters
        ----------
        limit
            Seconds after which the peer is stopped for good.

        Raises
        ------
        PeerTooSlowError
            If it took longer than that.
        RuntimeError
            If it stopped by itself; its traceback is on standard error.
        """
        requests, answers = self.process.stdin, self.process.stdout
        assert requests is not None  # noqa: S101 - asked for when it was started
        assert answers is not None  # noqa: S101
        print(json.dumps({"ask": question, **arguments}), file=requests, flush=True)
        alarm = Timer(limit or threading.TIMEOUT_MAX, self.process.kill)
        alarm.daemon = True
        alarm.start()
        answer = answers.readline()
        is_late = not alarm.is_alive()
        alarm.cancel()
        if answer:
            return dict(json.loads(answer))
        if is_late:
            msg = f"{self.name} was asked for {question!r} and not done after {limit:.0f} s"
            raise PeerTooSlowError(msg)
        msg = f"{self.name} stopped while asked for {question!r}; its traceback is above"
        raise RuntimeError(msg)


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
    with process:
        yield Peer(version(peer), process)
        if process.stdin is not None:
            process.stdin.close()
