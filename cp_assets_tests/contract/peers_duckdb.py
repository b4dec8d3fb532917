"""iceberg-bioimage 0.1.0 with DuckDB 2, which lacks a method that its join calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import iceberg_bioimage.integrations.duckdb as peer
import pytest


@dataclass
class _Result:
    relation: Any

    def arrow(self) -> Any:
        """What the method gave: a table."""
        return self.relation.to_arrow_table()


class _Connection:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str) -> Any:
        """Results of queries have the method again."""
        if sql.startswith("SELECT"):
            return _Result(self._connection.sql(sql))
        return self._connection.execute(sql)


def mend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the peer join."""
    real = peer.create_duckdb_connection
    monkeypatch.setattr(peer, "create_duckdb_connection", lambda: _Connection(real()))
