"""Dagster's UI on a folder like the demo's, as a real process on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import cp_assets
from cp_assets.demo import DemoHome

_COMMAND = (sys.executable, "-c", "from cp_assets.cli import main; main()")
_HIDDEN = ("AWS_", "CP_ASSETS_", "DAGSTER_", "PYICEBERG_")
_START_SECONDS = 120
_END_SECONDS = 20
_LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
  __typename ... on PythonError { message } } } } } }"""


@dataclass(frozen=True)
class DagsterUI:
    """A UI that answers."""

    url: str
    home: DemoHome
    log: Path

    def graphql(self, query: str, **variables: str) -> dict[str, Any]:
        """What the web server tells the page."""
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.url}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
        assert "errors" not in found, found
        data: dict[str, Any] = found["data"]
        return data


@contextmanager
def dagster_ui(home: DemoHome, scratch: Path) -> Iterator[DagsterUI]:
    """``cp-assets ui`` on a folder; when this ends, so do all of its processes."""
    port = _free_port()
    served = DagsterUI(f"http://127.0.0.1:{port}", home, scratch / "ui.log")
    arguments = ("ui", "--home", str(home.folder), "--port", str(port))
    with started([*_COMMAND, *arguments], scratch, served.log, {}) as process:
        _wait_until_loaded(served, process)
        yield served


@contextmanager
def started(
    command: Sequence[str], scratch: Path, log: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that knows nothing of this machine's settings; when this ends, so does it."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**_environment(scratch), **environment},
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _environment(scratch: Path) -> dict[str, str]:
    """Nothing of this machine's settings; the same code as the test's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
    home = scratch / "home"
    home.mkdir()
    code = str(Path(cp_assets.__file__).parents[1])
    paths = [code, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **kept,
        "HOME": str(home),
        "PYICEBERG_HOME": str(home),
        "PYTHONPATH": os.pathsep.join(paths),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_until_loaded(served: DagsterUI, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while not _loaded(served):
        if process.poll() is not None:
            pytest.fail(f"cp-assets ui ended with {process.returncode}:\n{tail(served.log)}")
        if time.monotonic() > end:
            pytest.fail(f"cp-assets ui is silent after {_START_SECONDS} s:\n{tail(served.log)}")
        time.sleep(0.5)


def _loaded(served: DagsterUI) -> bool:
    """Whether the web server answers and has our definitions; fails if they cannot be loaded."""
    try:
        found = served.graphql(_LOCATIONS)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    entries = found["workspaceOrError"].get("locationEntries", [])
    locations = [entry["locationOrLoadError"] for entry in entries]
    for location in locations:
        if location and location["__typename"] == "PythonError":
            pytest.fail(f"cp_assets.definitions does not load: {location['message']}")
    return bool(locations) and all(locations)


def tail(log: Path) -> str:
    """The end of what a program has said."""
    return log.read_text(errors="replace")[-4000:]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started: web server, daemon, code server, runs."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_END_SECONDS)
    # Whatever is left of its group; usually nothing is.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
