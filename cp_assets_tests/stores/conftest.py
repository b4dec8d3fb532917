"""A bucket of each store, behind the proxy that lets requests go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cp_assets.stores import ObjectPath, StoreOptions
from cp_assets_tests.services.azurite import Azurite
from cp_assets_tests.services.faulty import FaultyS3, faulty_proxy
from cp_assets_tests.services.s3 import REGION, S3Endpoint, S3Server


@dataclass(frozen=True, repr=False)
class Bucket:
    """An empty bucket.

    Attributes
    ----------
    options
        How it is reached.
    proxy
        All requests pass it.
    folder
        What lies in the bucket, as files; None where the server keeps it in memory.
    """

    url: str
    options: dict[str, Any]
    proxy: FaultyS3
    folder: Path | None

    def __repr__(self) -> str:
        return f"Bucket({self.url!r})"

    @property
    def root(self) -> ObjectPath:
        """The bucket's path."""
        return self.reached()

    def reached(self, key: str = "", **options: Any) -> ObjectPath:
        """A path in it, with other options."""
        return ObjectPath.parse(self.url, StoreOptions(**{**self.options, **options})) / key


@pytest.fixture(params=["s3", "gs", "az"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket of each kind of store."""
    make = {"s3": s3_bucket, "gs": gs_bucket, "az": az_bucket}[request.param]
    service = {"s3": "s3_server", "gs": "public_s3_server", "az": "azurite"}[request.param]
    with ExitStack() as stack:
        yield make(request.getfixturevalue(service), monkeypatch, stack)


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket of S3."""
    with ExitStack() as stack:
        yield s3_bucket(s3_server, monkeypatch, stack)


@pytest.fixture
def public_s3(public_s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket of S3 that asks for no keys, and none in the environment."""
    with ExitStack() as stack:
        made = s3_bucket(public_s3_server, monkeypatch, stack)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        yield made


def s3_bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> Bucket:
    """A new bucket; the keys are in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    proxy = stack.enter_context(faulty_proxy(server))
    name = server.make_bucket()
    options = {"endpoint_url": proxy.endpoint, "path_style": True, "region": REGION}
    return Bucket(f"s3://{name}", {**_QUICK, **options}, proxy, server.folder / name)


def gs_bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> Bucket:
    """A new bucket; with a token, the client looks for no other credentials."""
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "fake-token-of-a-test")
    proxy = stack.enter_context(faulty_proxy(server))
    name = server.make_bucket()
    options = {**_QUICK, "endpoint_url": proxy.endpoint}
    return Bucket(f"gs://{name}", options, proxy, server.folder / name)


def az_bucket(server: Azurite, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> Bucket:
    """A new container; the key is in the environment."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    proxy = stack.enter_context(faulty_proxy(S3Endpoint(server.server, server.account, "")))
    options = {**_QUICK, "endpoint_url": f"{proxy.endpoint}/{server.account}"}
    return Bucket(f"az://{server.make_container()}", options, proxy, None)


_QUICK = {"attempts": 3, "timeout_seconds": 5.0}
