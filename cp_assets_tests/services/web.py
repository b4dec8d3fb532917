"""A web server that keeps what is posted to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class WebServer:
    """What was posted, and what is answered, one after the other."""

    url: str = ""
    answers: list[int] = field(default_factory=lambda: [200])
    posted: list[dict[str, object]] = field(default_factory=list)


@contextmanager
def web_server() -> Iterator[WebServer]:
    """A server on loopback."""
    seen = WebServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.posted.append({"path": self.path, **json.loads(body)})
            code = seen.answers.pop(0) if len(seen.answers) > 1 else seen.answers[0]
            self.send_response(code)
            if code == 302:
                self.send_header("Location", f"{seen.url}/elsewhere")
            self.end_headers()
            self.wfile.write(f"no {self.path}".encode())

        def do_GET(self) -> None:
            seen.posted.append({"path": self.path})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        seen.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield seen
        server.shutdown()
        thread.join()
