"""A lab's production: inputs and warehouse in S3, catalog and Dagster's storage in PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import DagsterEventType, DagsterInstance

from cp_assets.sample import SampleOptions, SampleTruth
from cp_assets_tests.services.postgres import Postgres
from cp_assets_tests.services.s3 import S3Endpoint
from cp_assets_tests.ui.server import started, tail

PREFIX = SampleOptions().prefix
_PATIENCE_SECONDS = 240

_CONFIG = """\
warehouse: lab
sensor: {{enabled: true, interval: 1, quiet_seconds: 3}}
datasets:
- {{dataset_id: s, root: "s3://{bucket}/{prefix}", layout: cell-painting-gallery}}
"""

_INSTANCE = """\
storage: {postgres: {postgres_url: {env: LAB_DAGSTER_URL}}}
telemetry: {enabled: false}
concurrency: {runs: {max_concurrent_runs: 1}}
"""


@dataclass(frozen=True)
class Lab:
    """Where everything lies; `running` starts the daemon that works on it."""

    folder: Path
    postgres: Postgres
    dagster: str
    s3: S3Endpoint
    bucket: str
    environment: Mapping[str, str]

    @property
    def log(self) -> Path:
        """What the daemon prints."""
        return self.folder / "daemon.log"

    def put(self, truth: SampleTruth) -> None:
        """Upload a sample's prefix."""
        client = self.s3.client()
        for file in sorted(path for path in truth.root.rglob("*") if path.is_file()):
            self.put_file(client, file.relative_to(truth.root).as_posix(), file.read_bytes())

    def put_file(self, client: Any, below: str, data: bytes) -> None:
        """Upload one file of the prefix."""
        client.put_object(Bucket=self.bucket, Key=f"{PREFIX}/{below}", Body=data)

    def ended_runs(self, count: int) -> list[dg.DagsterRun]:
        """All runs, the newest first, when at least so many have ended and none goes on."""
        end = time.monotonic() + _PATIENCE_SECONDS
        with self.instance() as instance:
            while time.monotonic() < end:
                runs = list(instance.get_runs())
                if len(runs) >= count and all(run.is_finished for run in runs):
                    return runs
                time.sleep(0.5)
        pytest.fail(f"expected {count} ended runs:\n{tail(self.log)}")

    def failed_checks(self, run: dg.DagsterRun) -> list[str]:
        """Checks of a run that did not hold, of those that there were; there must be some."""
        with self.instance() as instance:
            events = instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)
        found = [event.dagster_event.event_specific_data for event in events]
        assert found
        return [
            f"{one.asset_key.to_user_string()}: {one.check_name}" for one in found if not one.passed
        ]

    @contextmanager
    def instance(self) -> Iterator[DagsterInstance]:
        """Dagster's storage, read by this process."""
        with DagsterInstance.from_config(str(self.folder / "dagster")) as instance:
            yield instance

    @contextmanager
    def running(self) -> Iterator[None]:
        """The daemon, which starts code server and runs itself."""
        scratch = self.folder / f"scratch{time.time_ns()}"
        scratch.mkdir()
        command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "cp_assets.definitions"]
        with started(command, scratch, self.log, self.environment):
            yield

    def dump(self) -> str:
        """All that Dagster remembers: runs, events, ticks, tags."""
        program = self.postgres.programs / "pg_dump"
        done = subprocess.run(
            [program, "--dbname", self.postgres.url(self.dagster, "postgresql"), "--inserts"],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


def make_lab(folder: Path, postgres: Postgres, s3: S3Endpoint) -> Lab:
    """An empty lab."""
    bucket, catalog, dagster = s3.make_bucket(), postgres.make_database(), postgres.make_database()
    (folder / "dagster").mkdir()
    (folder / "dagster" / "dagster.yaml").write_text(_INSTANCE)
    (folder / "cp_assets.yaml").write_text(_CONFIG.format(bucket=bucket, prefix=PREFIX))
    environment = {
        **s3.environment(),
        "DAGSTER_HOME": str(folder / "dagster"),
        "CP_ASSETS_CONFIG": str(folder / "cp_assets.yaml"),
        "LAB_DAGSTER_URL": postgres.url(dagster),
        "PYICEBERG_CATALOG__LAB__TYPE": "sql",
        "PYICEBERG_CATALOG__LAB__URI": postgres.url(catalog),
        "PYICEBERG_CATALOG__LAB__WAREHOUSE": f"s3://{bucket}/warehouse",
        "PYICEBERG_CATALOG__LAB__S3__ENDPOINT": s3.endpoint,
        "PYICEBERG_CATALOG__LAB__S3__ACCESS_KEY_ID": s3.access_key,
        "PYICEBERG_CATALOG__LAB__S3__SECRET_ACCESS_KEY": s3.secret_key,
        "PYICEBERG_CATALOG__LAB__S3__REGION": "us-east-1",
    }
    return Lab(folder, postgres, dagster, s3, bucket, environment)


def texts_of(folder: Path) -> str:
    """What all files below a folder say, their bytes read as text."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return "\n".join(path.read_bytes().decode("latin-1") for path in files)
