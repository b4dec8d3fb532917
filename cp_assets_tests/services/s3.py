"""A real S3 server with authentication: rclone serves a folder on loopback."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from cp_assets_tests.services.processes import (
    LOOPBACK,
    end,
    end_with_parent,
    free_port,
    listens,
    wait_until,
)

REGION = "us-east-1"

# rclone gives the whole object's checksum with a range of it, which botocore then refuses.
_CONFIG = {
    "s3": {"addressing_style": "path"},
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}


@dataclass(frozen=True)
class S3Endpoint:
    """Where S3 answers, and the keys that it takes."""

    endpoint: str
    access_key: str
    secret_key: str

    def client(self, **config: Any) -> Any:
        """A boto3 client; ``config`` is botocore's, such as ``retries``."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=REGION,
            config=Config(**{**_CONFIG, **config}),
        )

    def make_bucket(self) -> str:
        """An empty bucket; gives its name."""
        name = f"test-{secrets.token_hex(6)}"
        self.client().create_bucket(Bucket=name)
        return name

    def environment(self) -> dict[str, str]:
        """Environment variables that lead every S3 client here."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def pyiceberg(self) -> dict[str, str]:
        """Properties of a PyIceberg catalog whose warehouse lies here."""
        return {
            "s3.endpoint": self.endpoint,
            "s3.access-key-id": self.access_key,
            "s3.secret-access-key": self.secret_key,
            "s3.region": REGION,
            "s3.force-virtual-addressing": "false",
        }


@dataclass(frozen=True)
class S3Server(S3Endpoint):
    """The server itself.

    Attributes
    ----------
    folder
        What it serves: a folder is a bucket, a file an object.
    """

    folder: Path


@contextmanager
def running_s3(rclone: str, scratch: Path, *, public: bool = False) -> Iterator[S3Server]:
    """``rclone serve s3`` on an empty folder; a public one asks for no keys."""
    port, log = free_port(), scratch / "rclone.log"
    served = S3Server(
        endpoint=f"http://{LOOPBACK}:{port}",
        access_key=f"TEST{secrets.token_hex(8).upper()}",
        secret_key=secrets.token_hex(20),
        folder=scratch / "buckets",
    )
    served.folder.mkdir()
    keys = f'"{served.access_key},{served.secret_key}"'
    with log.open("wb") as stream:
        process = subprocess.Popen(
            # Never 0: rclone then lists without end while an object is put.
            [
                *(rclone, "serve", "s3", str(served.folder), "--addr", f"{LOOPBACK}:{port}"),
                *("--dir-cache-time", "1s", "--config", os.devnull),
            ],
            # Keys are no arguments, which every account of the machine could read.
            env=_environment({} if public else {"RCLONE_AUTH_KEY": keys}),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            preexec_fn=end_with_parent(),  # noqa: PLW1509 - it makes one system call
        )
    try:
        wait_until(lambda: listens(port), process, log)
        yield served
    finally:
        end(process, signal.SIGTERM)


def _environment(added: dict[str, str]) -> dict[str, str]:
    hidden = ("RCLONE_", "AWS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return {**kept, **added}
