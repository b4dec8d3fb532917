"""DuckDB with its own `iceberg` extension, from a package: nothing is fetched at run time."""

from pathlib import Path

import duckdb
import duckdb_extension_avro
import duckdb_extension_iceberg
from serve import Question, serve, where

connection = duckdb.connect()
for package in (duckdb_extension_avro, duckdb_extension_iceberg):
    connection.load_extension(str(next(Path(package.__file__).parent.rglob("*.duckdb_extension"))))


def write(question: Question) -> None:
    """Write the rows of a table, or of a statement (``sql``)."""
    connection.sql(question.get("sql") or _select(question)).write_parquet(question["out"])


def _select(question: Question) -> str:
    snapshot, tag = question.get("snapshot"), question.get("tag")
    options = "" if snapshot is None else f", snapshot_from_id = {snapshot}"
    at = "" if tag is None else f" AT (TAG => '{tag}')"
    place = question["tables"][question["table"]]
    return f"SELECT * FROM iceberg_scan('{place}'{options}){at}{where(question)}"


serve(write)
