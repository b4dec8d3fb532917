"""A deployment whose PostgreSQL and S3 server are the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from psycopg2 import sql

from cp_assets_tests.docker.compose_file import DOCKER, SECRETS, read_services
from cp_assets_tests.docker.deployment import Deployment, deployed
from cp_assets_tests.services.postgres import Postgres
from cp_assets_tests.services.s3 import S3Server

BUCKET = "cp-assets"
_DATABASES = ("dagster", "catalog")


@pytest.fixture
def databases(postgres: Postgres) -> Iterator[Postgres]:
    """PostgreSQL as the service of that name makes it: Dagster's database, and the init script."""
    with closing(postgres.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE dagster")
        cursor.execute((DOCKER / "postgres-init.sql").read_text(encoding="utf-8"))
        yield postgres
        for name in _DATABASES:
            cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def bucket(s3_server: S3Server) -> S3Server:
    """S3 as the service of that name makes it: one bucket, and its key."""
    client = s3_server.client()
    if BUCKET not in [one["Name"] for one in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
    return s3_server


@pytest.fixture
def deployment(databases: Postgres, bucket: S3Server, tmp_path: Path) -> Iterator[Deployment]:
    """Dagster's services, none of them started."""
    configuration = tmp_path / "cp_assets.yaml"
    configuration.touch()
    given = dict.fromkeys(SECRETS, "unused") | {
        "POSTGRES_USER": databases.user,
        "POSTGRES_PASSWORD": databases.password,
        "S3_ACCESS_KEY": bucket.access_key,
        "S3_SECRET_KEY": bucket.secret_key,
        "CP_ASSETS_CONFIG_FILE": str(configuration),
    }
    elsewhere = {
        "postgres:5432": f"{databases.host}:{databases.port}",
        "http://s3:3900": bucket.endpoint,
    }
    with deployed(read_services(given), tmp_path / "containers", elsewhere) as found:
        yield found
