"""Folders in a bucket."""

from __future__ import annotations

import secrets
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from cp_assets.stores import ObjectPath, StoreOptions
from cp_assets_tests.services.s3 import S3Endpoint, S3Server

_BUCKET = "folders"


class Bucket:
    """A bucket to put folders into, read through an endpoint.

    Parameters
    ----------
    endpoint
        The server itself, or a proxy in front of it.
    """

    def __init__(self, server: S3Server, endpoint: S3Endpoint) -> None:
        self._server = server
        self._endpoint = endpoint

    def put(self, folder: Path, **options: Any) -> ObjectPath:
        """Put a folder's files below a new name; a link is the file that it leads to."""
        name = secrets.token_hex(6)
        shutil.copytree(folder, self._server.folder / _BUCKET / name)
        # The server remembers for a second what was in the bucket before.
        client = self._server.client()
        asked = {"Bucket": _BUCKET, "Prefix": f"{name}/", "MaxKeys": 1}
        has_files = any(path.is_file() for path in folder.rglob("*"))
        while has_files and not client.list_objects_v2(**asked).get("Contents"):
            time.sleep(0.05)
        return ObjectPath(f"s3://{_BUCKET}", name, self.options(**options))

    def options(self, **options: Any) -> StoreOptions:
        """How the bucket is reached."""
        return StoreOptions(endpoint_url=self._endpoint.endpoint, path_style=True, **options)

    def on_disk(self, path: ObjectPath) -> Path:
        """Where the server keeps an object."""
        return self._server.folder / _BUCKET / path.key


def bucket_of(server: S3Server, endpoint: S3Endpoint, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket that this process has the keys for."""
    for name, value in endpoint.environment().items():
        monkeypatch.setenv(name, value)
    return Bucket(server, endpoint)
