"""Azurite, Microsoft's emulator of Azure Blob Storage, on loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

from cp_assets_tests.services.processes import LOOPBACK, end, free_port, listens, wait_until

_VERSION = "2021-08-06"


@dataclass(frozen=True)
class Azurite:
    """Where the emulator answers, and the account that it knows.

    Attributes
    ----------
    server
        Without the account, which is the first part of a request's path.
    """

    server: str
    account: str
    key: str

    def make_container(self) -> str:
        """An empty container; gives its name."""
        name = f"test-{secrets.token_hex(6)}"
        assert self._put(f"{name}?restype=container", {}) == http.HTTPStatus.CREATED
        return name

    def make_mark(self, container: str, key: str) -> None:
        """Put an empty object as other tools mark a folder: its key ends in a slash."""
        headers = {"x-ms-blob-type": "BlockBlob"}
        assert self._put(f"{container}/{key}", headers) == http.HTTPStatus.CREATED

    def environment(self) -> dict[str, str]:
        """Environment variables that let clients in."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": self.account,
            "AZURE_STORAGE_ACCOUNT_KEY": self.key,
        }

    def _put(self, target: str, headers: dict[str, str]) -> int:
        path = f"/{self.account}/{target}"
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION, **headers}
        headers["Authorization"] = f"SharedKey {self.account}:{self._signature(path, headers)}"
        with closing(http.client.HTTPConnection(self.server.partition("://")[2])) as connection:
            connection.request("PUT", path, b"", headers)
            return connection.getresponse().status

    def _signature(self, path: str, headers: dict[str, str]) -> str:
        """Of a request without content, as Azure's 'Authorize with Shared Key' describes."""
        named = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        resource, _, query = path.partition("?")
        asked = f"\n{query.replace('=', ':')}" if query else ""
        text = f"PUT\n\n\n\n\n\n\n\n\n\n\n\n{named}/{self.account}{resource}{asked}"
        digest = hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256).digest()
        return base64.b64encode(digest).decode()


@contextmanager
def running_azurite(program: str, scratch: Path) -> Iterator[Azurite]:
    """Azurite without data, which it keeps in memory."""
    port, log = free_port(), scratch / "azurite.log"
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    served = Azurite(f"http://{LOOPBACK}:{port}", f"test{secrets.token_hex(4)}", key)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                *(program, "--blobHost", LOOPBACK, "--blobPort", str(port)),
                *("--inMemoryPersistence", "--silent", "--disableTelemetry"),
                # The client may be newer than the emulator.
                "--skipApiVersionCheck",
            ],
            cwd=scratch,
            env={**os.environ, "AZURITE_ACCOUNTS": f"{served.account}:{key}"},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        wait_until(lambda: listens(port), process, log)
        yield served
    finally:
        end(process, signal.SIGTERM)
