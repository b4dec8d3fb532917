"""A small Iceberg REST catalog: PyIceberg's SQL catalog behind the REST protocol, over HTTP.

It speaks those of the protocol's calls that PyIceberg's `RestCatalog` makes for us. What is tried
with it is that client, and what we make of its answers.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

from pyiceberg.catalog.rest import VIEW_ENDPOINTS_SUPPORTED, CreateTableRequest, CreateViewRequest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    NoSuchViewError,
    TableAlreadyExistsError,
    ViewAlreadyExistsError,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.table import CommitTableRequest, StagedTable, Table
from pyiceberg.view.metadata import ViewHistoryEntry, ViewMetadata

from cp_assets_tests.services.processes import LOOPBACK

_STATUS: dict[type[Exception], int] = {
    CommitFailedException: 409,
    NamespaceAlreadyExistsError: 409,
    TableAlreadyExistsError: 409,
    ViewAlreadyExistsError: 409,
    NoSuchNamespaceError: 404,
    NoSuchTableError: 404,
    NoSuchViewError: 404,
}

Answer = dict[str, Any]

Views = dict[tuple[str, str], Answer]
"""Namespace and name -> the view's metadata; kept as long as the server runs."""


@dataclass(frozen=True)
class RestCatalogServer:
    """A catalog that answers, and the token that it takes.

    Attributes
    ----------
    catalog
        What it serves, for tests that look behind it.
    """

    uri: str
    token: str
    catalog: SqlCatalog


@contextmanager
def rest_catalog(**properties: str) -> Iterator[RestCatalogServer]:
    """A server of a SQL catalog with these properties."""
    catalog = SqlCatalog("served", **properties)
    listener = _Listener((LOOPBACK, 0), _Handler)
    listener.catalog, listener.token = catalog, secrets.token_urlsafe(24)
    listener.views = {}
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        uri = f"http://{LOOPBACK}:{listener.server_address[1]}"
        yield RestCatalogServer(uri, listener.token, catalog)
    finally:
        listener.shutdown()
        listener.server_close()
        catalog.close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    catalog: SqlCatalog
    views: Views
    token: str


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Nothing is printed."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self._answer(401, _error(401, "NotAuthorizedException", "not authorized"))
            return
        parts = self.path.partition("?")[0].strip("/").split("/")[1:]
        try:
            if "views" in parts[2:3]:
                answer = _call_of_views(self.server, self.command, parts, body)
            else:
                answer = _call(self.server.catalog, self.command, parts, body)
        except tuple(_STATUS) as error:
            status = _STATUS[type(error)]
            self._answer(status, _error(status, type(error).__name__, str(error)))
        except Exception as error:
            self._answer(500, _error(500, type(error).__name__, str(error)))
            raise
        else:
            self._answer(200, answer)

    do_GET = do_HEAD = do_POST = do_DELETE = _handle  # noqa: N815 - the base's names

    def _answer(self, status: int, answer: Answer) -> None:
        content = json.dumps(answer).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _call(  # noqa: PLR0911 - one answer a call
    catalog: SqlCatalog, method: str, parts: list[str], body: bytes
) -> Answer:
    """Do what a request asks for; ``parts`` are those of its path behind the version."""
    match method, parts:
        case "GET", ["config"]:
            return {"defaults": {}, "overrides": {VIEW_ENDPOINTS_SUPPORTED: "true"}}
        case "GET", ["namespaces"]:
            return {"namespaces": [list(one) for one in catalog.list_namespaces()]}
        case "POST", ["namespaces"]:
            namespace = json.loads(body)["namespace"]
            catalog.create_namespace(tuple(namespace))
            return {"namespace": namespace, "properties": {}}
        case "GET", ["namespaces", namespace]:
            found = catalog.load_namespace_properties(namespace)
            return {"namespace": [namespace], "properties": dict(found)}
        case "GET", ["namespaces", namespace, "tables"]:
            tables = catalog.list_tables(namespace)
            return {"identifiers": [{"namespace": [n], "name": name} for n, name in tables]}
        case "POST", ["namespaces", namespace, "tables"]:
            return _created(catalog, namespace, json.loads(body))
        case "GET", ["namespaces", namespace, "tables", name]:
            return _loaded(catalog.load_table((namespace, name)))
        case "DELETE", ["namespaces", namespace, "tables", name]:
            catalog.drop_table((namespace, name))
            return {}
        case "POST", ["namespaces", namespace, "tables", name]:
            request = CommitTableRequest.model_validate_json(body)
            table = catalog.load_table((namespace, name))
            done = catalog.commit_table(table, request.requirements, request.updates)
            return json.loads(done.model_dump_json(by_alias=True))
    return _error(404, "NoSuchEndpoint", "/".join(parts))


def _call_of_views(server: _Listener, method: str, parts: list[str], body: bytes) -> Answer:
    """Do what a request asks for of views."""
    views = server.views
    match method, parts:
        case "POST", ["namespaces", namespace, "views"]:
            # The client leaves out what its own model asks for.
            request = CreateViewRequest.model_validate({"location": None, **json.loads(body)})
            _refuse_taken_name(server, namespace, request.name)
            views[namespace, request.name] = _view_metadata(server.catalog, namespace, request)
            return _loaded_view(views, namespace, request.name)
        case "GET", ["namespaces", namespace, "views"]:
            names = [name for there, name in views if there == namespace]
            return {"identifiers": [{"namespace": [namespace], "name": name} for name in names]}
        case (("GET" | "HEAD"), ["namespaces", namespace, "views", name]):
            return _loaded_view(views, namespace, name)
        case "DELETE", ["namespaces", namespace, "views", name]:
            _loaded_view(views, namespace, name)
            del views[namespace, name]
            return {}
    return _error(404, "NoSuchEndpoint", "/".join(parts))


def _refuse_taken_name(server: _Listener, namespace: str, name: str) -> None:
    """Tables and views of a namespace share their names."""
    if (namespace, name) in server.views or (namespace, name) in server.catalog.list_tables(
        namespace
    ):
        raise ViewAlreadyExistsError(f"{namespace}.{name} is there already")


def _view_metadata(catalog: SqlCatalog, namespace: str, request: CreateViewRequest) -> Answer:
    version = request.view_version
    written = ViewMetadata(
        view_uuid=str(uuid4()),
        format_version=1,
        location=f"{catalog.properties['warehouse']}/{namespace}/{request.name}",
        schemas=[request.view_schema],
        current_version_id=version.version_id,
        versions=[version],
        version_log=[
            ViewHistoryEntry(timestamp_ms=version.timestamp_ms, version_id=version.version_id)
        ],
        properties=request.properties,
    )
    return json.loads(written.model_dump_json(by_alias=True))


def _loaded_view(views: Views, namespace: str, name: str) -> Answer:
    if (namespace, name) not in views:
        raise NoSuchViewError(f"{namespace}.{name}")
    metadata = views[namespace, name]
    place = f"{metadata['location']}/metadata/{metadata['view-uuid']}.metadata.json"
    return {"metadata-location": place, "metadata": metadata, "config": {}}


def _created(catalog: SqlCatalog, namespace: str, body: Answer) -> Answer:
    # The client leaves out what its own model asks for.
    left_out = dict.fromkeys(("location", "partition-spec", "write-order"))
    request = CreateTableRequest.model_validate({**left_out, **body})
    make = catalog._create_staged_table if request.stage_create else catalog.create_table
    return _loaded(
        make(
            (namespace, request.name),
            request.table_schema,
            partition_spec=request.partition_spec or UNPARTITIONED_PARTITION_SPEC,
            properties=dict(request.properties),
        )
    )


def _loaded(table: Table | StagedTable) -> Answer:
    return {
        "metadata-location": table.metadata_location,
        "metadata": json.loads(table.metadata.model_dump_json(by_alias=True)),
        "config": {},
    }


def _error(status: int, kind: str, message: str) -> Answer:
    return {"error": {"message": message, "type": kind, "code": status}}
