"""The services do what tests of other things rely on."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace

import psycopg2
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ResponseStreamingError

from cp_assets_tests.services.faults import Fault
from cp_assets_tests.services.faulty import FaultyS3
from cp_assets_tests.services.postgres import Postgres
from cp_assets_tests.services.s3 import S3Server

_ONCE = {"retries": {"total_max_attempts": 1}}


def test_postgres_keeps_its_rows_through_a_crash_and_wants_the_password(postgres: Postgres) -> None:
    database = postgres.make_database()
    with closing(postgres.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 7 AS value")
        postgres.restart(crash=True)
        with pytest.raises(psycopg2.OperationalError):
            cursor.execute("SELECT 1")
    with closing(postgres.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT value FROM kept")
        assert cursor.fetchone() == (7,)
    wrong = postgres.url(database, "postgresql").replace(postgres.password, "wrong")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(wrong)


def test_s3_wants_its_keys(s3_server: S3Server) -> None:
    bucket = s3_server.make_bucket()
    s3_server.client().put_object(Bucket=bucket, Key="a b/ü%", Body=b"body")
    assert (s3_server.folder / bucket / "a b" / "ü%").read_bytes() == b"body"
    stranger = replace(s3_server, secret_key="another")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.client().list_objects_v2(Bucket=bucket)


def test_the_proxy_counts_and_passes_on(faulty: FaultyS3) -> None:
    bucket, client = faulty.make_bucket(), faulty.client()
    client.put_object(Bucket=bucket, Key="a b/ü%", Body=b"0123456789")
    got = client.get_object(Bucket=bucket, Key="a b/ü%", Range="bytes=2-4")
    assert got["Body"].read() == b"234"
    assert client.head_object(Bucket=bucket, Key="a b/ü%")["ContentLength"] == 10
    listed = client.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert [one["Prefix"] for one in listed["CommonPrefixes"]] == ["a b/"]
    assert faulty.counts() == {
        "CreateBucket": 1,
        "PutObject": 1,
        "GetObject": 1,
        "HeadObject": 1,
        "ListObjectsV2": 1,
    }


def test_the_proxy_plays_faults(faulty: FaultyS3) -> None:
    bucket, client = faulty.make_bucket(), faulty.client(**_ONCE)
    faulty.play(
        Fault("slow_down", operation="PutObject", times=1),
        Fault("lost", operation="PutObject", times=1),
        Fault("reset", operation="GetObject", times=1),
        Fault("short", operation="GetObject", times=1),
        Fault("truncated", operation="GetObject", times=1),
    )
    with pytest.raises(ClientError, match="SlowDown"):
        client.put_object(Bucket=bucket, Key="key", Body=b"first")
    with pytest.raises(ConnectionClosedError):
        client.put_object(Bucket=bucket, Key="key", Body=b"second")
    with pytest.raises(ConnectionClosedError):
        client.get_object(Bucket=bucket, Key="key")
    with pytest.raises(ResponseStreamingError):
        client.get_object(Bucket=bucket, Key="key")["Body"].read()
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"sec"
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"second"


def test_what_hangs_breaks_in_the_end(faulty: FaultyS3) -> None:
    bucket, client = faulty.make_bucket(), faulty.client(**_ONCE)
    faulty.play(Fault("hang", seconds=0.3))
    start = time.monotonic()
    with pytest.raises(ConnectionClosedError):
        client.head_bucket(Bucket=bucket)
    assert time.monotonic() - start > 0.3


def test_chance_is_seeded(faulty: FaultyS3) -> None:
    bucket, client = faulty.make_bucket(), faulty.client(**_ONCE)

    def outcomes() -> list[bool]:
        faulty.play(Fault("slow_down", operation="PutObject", probability=0.5), seed=4)
        found = []
        for _ in range(12):
            try:
                client.put_object(Bucket=bucket, Key="key", Body=b"")
                found.append(True)
            except ClientError:
                found.append(False)
        return found

    first = outcomes()
    assert set(first) == {True, False}
    assert outcomes() == first
