"""Folders in a bucket."""

from __future__ import annotations

import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from cp_assets.stores import ObjectPath, StoreOptions
from cp_assets_tests.services.faults import Request
from cp_assets_tests.services.faulty import FaultyS3
from cp_assets_tests.services.s3 import S3Server

_BUCKET = "folders"


@lru_cache(maxsize=1)
def _client(server: S3Server) -> Any:
    client = server.client(max_pool_connections=8)
    client.create_bucket(Bucket=_BUCKET)
    return client


class Bucket:
    """A bucket to put folders into, read through the proxy."""

    def __init__(self, server: S3Server, proxy: FaultyS3) -> None:
        self._server = server
        self._proxy = proxy
        self._name = ""

    def put(self, folder: Path, **options: Any) -> ObjectPath:
        """Put a folder's files below a new name; a link is the file that it leads to."""
        self._name = secrets.token_hex(6)
        root = ObjectPath(f"s3://{_BUCKET}", self._name, self.options(**options))
        self.write(root, folder)
        return root

    def write(self, root: ObjectPath, folder: Path) -> None:
        """Put a folder's files below a place, in the place of those that are there."""
        client = _client(self._server)

        def upload(file: Path) -> None:
            key = f"{root.key}/{file.relative_to(folder).as_posix()}"
            client.put_object(Bucket=_BUCKET, Key=key, Body=file.read_bytes())

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(upload, (file for file in folder.rglob("*") if file.is_file())))

    def on_disk(self, path: ObjectPath) -> Path:
        """Where the server keeps what lies below a place: for more files than can be put."""
        return self._server.folder / _BUCKET / path.key

    def options(self, **options: Any) -> StoreOptions:
        """How the bucket is reached."""
        return StoreOptions(endpoint_url=self._proxy.endpoint, path_style=True, **options)

    @property
    def requests(self) -> list[Request]:
        """What was asked for of the folder that was put last; others' threads may still ask."""
        return [one for one in list(self._proxy.requests) if self._name in one.path + one.query]

    def counts(self) -> Counter[str]:
        """How many of these requests there are of each of S3's operations."""
        return Counter(one.operation for one in self.requests)


def bucket_of(server: S3Server, proxy: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket that this process has the keys for."""
    for name, value in proxy.environment().items():
        monkeypatch.setenv(name, value)
    return Bucket(server, proxy)
