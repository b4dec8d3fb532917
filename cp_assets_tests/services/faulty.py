"""A proxy in front of an HTTP server that counts requests and lets them go wrong by a script.

Requests are passed on byte for byte, header ``Host`` too, so that signatures made for the proxy
hold at the server.
"""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from cp_assets_tests.services.faults import Fault, Request, Script
from cp_assets_tests.services.processes import LOOPBACK
from cp_assets_tests.services.s3 import S3Endpoint
from cp_assets_tests.services.s3_operations import operation_name

_HOP = ("connection", "expect", "keep-alive", "transfer-encoding", "content-length")
_SLOW_DOWN = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"""
_ANSWER_SECONDS = 120


class _State:
    """What the test sets and the proxy's threads read."""

    def __init__(self) -> None:
        self.script = Script((), 0)
        self.released = threading.Event()

    def release(self) -> None:
        """Wake what hangs."""
        self.released.set()
        self.released = threading.Event()


@dataclass(frozen=True)
class FaultyS3(S3Endpoint):
    """An S3 server through the proxy, with the server's keys.

    Attributes
    ----------
    requests
        All that came, in the order in which they came.
    """

    requests: list[Request] = field(default_factory=list)
    _state: _State = field(default_factory=_State)

    def play(self, *faults: Fault, seed: int = 0) -> None:
        """Let requests go wrong from now on, as these faults say and no others."""
        self._state.release()
        self._state.script = Script(faults, seed)

    def calm(self) -> None:
        """Let nothing go wrong any more; what hangs breaks."""
        self.play()

    def forget(self) -> None:
        """Count from zero."""
        self.requests.clear()

    def count(self, operation: str) -> int:
        """How many requests of S3's operation came."""
        return self.counts()[operation]

    def counts(self) -> Counter[str]:
        """How many requests came of each of S3's operations."""
        return Counter(request.operation for request in list(self.requests))


@contextmanager
def faulty_proxy(server: S3Endpoint) -> Iterator[FaultyS3]:
    """A proxy in front of a server, without faults until some are played."""
    listener = _Listener((LOOPBACK, 0), _Handler)
    served = FaultyS3(
        endpoint=f"http://{LOOPBACK}:{listener.server_address[1]}",
        access_key=server.access_key,
        secret_key=server.secret_key,
    )
    listener.faulty = served
    listener.upstream = urlsplit(server.endpoint).netloc
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.calm()
        listener.shutdown()
        listener.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    faulty: FaultyS3
    upstream: str

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients break connections, as the script does: no report."""


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    # Small answers would wait for the client's acknowledgement.
    disable_nagle_algorithm = True
    server: _Listener

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """The requests are kept; nothing is printed."""

    def _handle(self) -> None:
        body = self._body()
        path, _, query = self.path.partition("?")
        request = Request(
            self.command,
            operation_name(self.command, path, query, self.headers),
            path,
            query,
            self.headers.get("Range", ""),
        )
        faulty = self.server.faulty
        faulty.requests.append(request)
        state = faulty._state
        fault = state.script.next_fault(request)
        kind = fault.kind if fault else None
        if fault and kind == "hang":
            state.released.wait(fault.seconds)
        if kind in ("hang", "reset"):
            self._break()
        elif kind == "slow_down":
            self._answer(503, [("Content-Type", "application/xml")], _SLOW_DOWN)
        else:
            self._pass_on(body, kind)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815 - the base's names

    def _pass_on(self, body: bytes, kind: str | None) -> None:
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=_ANSWER_SECONDS)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP:
                    upstream.putheader(name, value)
            if body or "Content-Length" in self.headers:
                upstream.putheader("Content-Length", str(len(body)))
            upstream.endheaders(body)
            answer = upstream.getresponse()
            content = answer.read()
        except OSError:
            self._break()
            return
        finally:
            upstream.close()
        headers = [(n, v) for n, v in answer.getheaders() if n.lower() not in _HOP]
        # Of a part rclone says 200, the real stores 206.
        is_part = answer.status == 200 and answer.getheader("Content-Range")
        status = 206 if is_part else answer.status
        length = answer.getheader("Content-Length", str(len(content)))
        if kind == "lost" or (kind and not content):
            self._break()
        elif kind == "short":
            self._answer(status, headers, content[: len(content) // 2], length)
            self.close_connection = True
        elif kind == "truncated":
            self._answer(status, headers, content[: len(content) // 2])
        else:
            self._answer(status, headers, content, length)

    def _answer(
        self,
        status: int,
        headers: list[tuple[str, str]],
        content: bytes,
        length: str | None = None,
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != http.HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue
        return b"".join(parts)

    def _break(self) -> None:
        """Reset the connection: the client sees no proper end."""
        self.close_connection = True
        # Closing a socket that lingers for no time sends RST.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
