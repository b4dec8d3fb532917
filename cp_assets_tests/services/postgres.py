"""A PostgreSQL cluster of its own: made, started, stopped and restarted by the tests."""

from __future__ import annotations

import getpass
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from cp_assets_tests.services.processes import LOOPBACK, end, end_with_parent, free_port, wait_until

_ACCOUNT = "postgres"
_INSTALLED = "/usr/lib/postgresql"
# A lost cluster is made again: nothing has to reach the disk.
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "off",
    "max_connections": "200",
}


@dataclass
class Postgres:
    """A cluster on loopback, with a password that was made for it.

    Attributes
    ----------
    folder
        Of the cluster and its log; belongs to the account that the server runs as.
    """

    programs: Path
    folder: Path
    port: int
    password: str
    host: str = LOOPBACK
    user: str = _ACCOUNT
    _process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = _ACCOUNT, driver: str = "postgresql+psycopg2") -> str:
        """The database as SQLAlchemy takes it; ``driver="postgresql"`` for libpq."""
        return f"{driver}://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def connect(self, database: str = _ACCOUNT) -> Any:
        """A psycopg2 connection that commits each statement."""
        connection = psycopg2.connect(self.url(database, "postgresql"), connect_timeout=10)
        connection.autocommit = True
        return connection

    def make_database(self) -> str:
        """An empty database; gives its name."""
        name = f"test_{secrets.token_hex(6)}"
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        return name

    def start(self) -> None:
        """Start the server, on the same port and the same data as before."""
        settings = {**_SETTINGS, "port": str(self.port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = self.folder / "log"
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", *options],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                preexec_fn=end_with_parent(),  # noqa: PLW1509 - it makes one system call
                **_as_account(self.folder),
            )
        wait_until(self._answers, self._process, log)

    def stop(self, *, crash: bool = False) -> None:
        """End the server; its clients lose their connections.

        Parameters
        ----------
        crash
            Without any tidying up, so that the next start recovers from the log.
        """
        if self._process is not None:
            end(self._process, signal.SIGQUIT if crash else signal.SIGINT)
            self._process = None

    def restart(self, *, crash: bool = False) -> None:
        """End the server and start it again."""
        self.stop(crash=crash)
        self.start()

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg2.OperationalError:
            return False
        return True


def find_postgres() -> Path | None:
    """The folder of PostgreSQL's programs: on PATH, or the newest that Debian installed."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    installed = sorted(Path(_INSTALLED).glob("*/bin/initdb"), key=_major_version)
    return installed[-1].parent if installed else None


@contextmanager
def running_postgres(programs: Path) -> Iterator[Postgres]:
    """A new cluster, running; gone at the end."""
    # Not below pytest's folder, which only the tests' own account may enter.
    folder = Path(tempfile.mkdtemp(prefix="cp_assets-postgres-"))
    try:
        served = _new_cluster(programs, folder)
        served.start()
        try:
            yield served
        finally:
            served.stop()
    finally:
        shutil.rmtree(folder)


def _new_cluster(programs: Path, folder: Path) -> Postgres:
    password = secrets.token_urlsafe(24)
    given = folder / "password"
    given.touch(mode=0o600)
    given.write_text(password)
    if os.geteuid() == 0:
        for path in (folder, given):
            shutil.chown(path, _ACCOUNT, _ACCOUNT)
    made = subprocess.run(
        [
            *(programs / "initdb", "-D", folder / "data", "--username", _ACCOUNT),
            *("--pwfile", given, "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        ],
        capture_output=True,
        text=True,
        check=False,
        **_as_account(folder),
    )
    given.unlink()
    assert made.returncode == 0, made.stderr
    return Postgres(programs, folder, free_port(), password)


def _as_account(folder: Path) -> dict[str, Any]:
    """Options of a program of PostgreSQL's, which refuses to run as root."""
    # Settings of this machine's own server would be taken for ours.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    options: dict[str, Any] = {"cwd": folder, "env": {**kept, "LC_ALL": "C"}}
    if os.geteuid() == 0:
        options |= {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []}
    return options


def _major_version(initdb: Path) -> float:
    return float(initdb.parent.parent.name)


def account_is_there() -> bool:
    """Whether there is an account to run PostgreSQL as."""
    if os.geteuid() != 0:
        return bool(getpass.getuser())
    return any(entry.pw_name == _ACCOUNT for entry in pwd.getpwall())
