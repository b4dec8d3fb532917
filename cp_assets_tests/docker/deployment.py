"""The services of compose.yaml as processes: its commands, settings and health checks."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import cp_assets
from cp_assets_tests.docker.compose_file import DOCKER, find_program
from cp_assets_tests.services.processes import LOOPBACK, free_port, listens

_HIDDEN = ("AWS_", "CP_ASSETS_", "DAGSTER_", "PYICEBERG_", "PG", "TMPDIR")
_FOLDERS = re.compile(r"/etc/cp_assets\b|/tmp\b")
_WAIT_SECONDS = 400
_END_SECONDS = 20


@dataclass
class Deployment:
    """Services on loopback, in a folder that stands for a container's root.

    Attributes
    ----------
    services
        Of compose.yaml, with variables filled in.
    elsewhere
        Addresses that the files name -> where that really is.
    """

    services: dict[str, dict[str, Any]]
    folder: Path
    elsewhere: dict[str, str]
    ports: dict[str, int] = field(default_factory=dict)
    _started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("code-server", "worker", "webserver"):
            self.ports[name] = free_port()
            inside = 3000 if name == "webserver" else 4000
            self.elsewhere[f"{name}:{inside}"] = f"{LOOPBACK}:{self.ports[name]}"
        (self.folder / "tmp").mkdir(parents=True)
        (self.folder / "scratch").mkdir()
        for name in self.ports:
            self._mount(name)

    def run(self, name: str) -> None:
        """Run a service that ends by itself."""
        self.start(name)
        code = self._started.pop(name).wait(timeout=_WAIT_SECONDS)
        assert code == 0, self.log(name)

    def start(self, name: str) -> None:
        """Start a service with its own command."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self._started[name] = subprocess.Popen(
                self._command(name, self.services[name]["command"]),
                env=self.environment(name),
                cwd=self.folder / "scratch",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def is_healthy(self, name: str) -> bool:
        """What the service's own health check says."""
        kind, *command = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        checked = subprocess.run(
            self._command(name, command),
            env=self.environment(name),
            capture_output=True,
            check=False,
        )
        return checked.returncode == 0

    def wait_until_healthy(self, name: str) -> None:
        """Ask until the health check holds; the test fails if it never does."""
        end = time.monotonic() + _WAIT_SECONDS
        # A check costs a second of the machine: none before the port is open.
        while not (self._is_open(name) and self.is_healthy(name)):
            if self._started[name].poll() is not None or time.monotonic() > end:
                pytest.fail(f"{name} is not healthy:\n{self.log(name)}")
            time.sleep(0.5)

    def log(self, name: str) -> str:
        """What a service printed."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """What the web server answers."""
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{self.ports['webserver']}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
        assert "errors" not in found, found
        data: dict[str, Any] = found["data"]
        return data

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End a service and all that it started."""
        process = self._started.pop(name)
        process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_END_SECONDS)
        # Whatever is left of its group; in a container it would be gone with it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end_all(self) -> None:
        """End every service, the last first."""
        for name in reversed(list(self._started)):
            self.end(name)

    def _is_open(self, name: str) -> bool:
        return name not in self.ports or listens(self.ports[name])

    def _mount(self, name: str) -> None:
        """Put the files that a service mounts where its container would have them."""
        for volume in self.services[name]["volumes"]:
            source, target, *_ = volume.split(":")
            file = DOCKER / source
            if file.is_file():
                placed = self._inside(target)
                placed.parent.mkdir(parents=True, exist_ok=True)
                text = self._moved(file.read_text(encoding="utf-8"))
                # A host and its port stand on two lines there.
                if placed.name == "workspace.yaml":
                    text = text.replace("host: code-server", f"host: {LOOPBACK}")
                    text = text.replace("port: 4000", f"port: {self.ports['code-server']}")
                placed.write_text(text, encoding="utf-8")

    def _command(self, name: str, command: list[str]) -> list[str]:
        program, *arguments = command
        port = str(self.ports.get(name, ""))
        told = {"0.0.0.0": LOOPBACK, "4000": port, "3000": port}  # noqa: S104 - replaced here
        moved = [
            told.get(one, self._moved(one.replace(":3000/", f":{port}/"))) for one in arguments
        ]
        return [find_program(program), *moved]

    def environment(self, name: str) -> dict[str, str]:
        """Environment variables of a service, as its container would have them."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_HIDDEN)}
        code = str(Path(cp_assets.__file__).parents[1])
        told = {
            key: self._moved(value) for key, value in self.services[name]["environment"].items()
        }
        return {
            **kept,
            **{key: self._moved(value) for key, value in told.items()},
            "HOME": str(self.folder / "scratch"),
            "PYTHONPATH": os.pathsep.join(filter(None, [code, os.environ.get("PYTHONPATH")])),
            # What the image sets.
            "CP_ASSETS_CONFIG": str(self._inside("/etc/cp_assets/cp_assets.yaml")),
            "DAGSTER_HOME": str(self._inside("/opt/dagster/dagster_home")),
            "TMPDIR": str(self._inside("/scratch")),
        }

    def _inside(self, path: str) -> Path:
        return self.folder / path.removeprefix("/")

    def _moved(self, text: str) -> str:
        """Addresses and folders of the containers as they are here."""
        for there, here in self.elsewhere.items():
            text = text.replace(there, here)
        return _FOLDERS.sub(lambda found: str(self._inside(found[0])), text)


@contextmanager
def deployed(
    services: dict[str, dict[str, Any]], folder: Path, elsewhere: dict[str, str]
) -> Iterator[Deployment]:
    """A deployment of which nothing is started yet, and nothing runs afterwards."""
    deployment = Deployment(services, folder, dict(elsewhere))
    try:
        yield deployment
    finally:
        deployment.end_all()
