"""Quoting and naming in the SQL of other engines."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_assets.errors import ConfigurationError, QueryError
from cp_assets.warehouse.catalog_views import create_view
from cp_assets.warehouse.engine_sql import DIALECTS, engine_sql
from cp_assets.warehouse.query import Selection
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.services.missing import missing
from cp_assets_tests.warehouse.plates import batch, write

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(text=TEXTS)
def test_duckdb_reads_texts_and_names_as_they_are(text: str) -> None:
    dialect = DIALECTS["duckdb"]
    name = text or "empty"
    found = duckdb.sql(f"SELECT {dialect.text(text)} AS {dialect.name(name)}")
    assert (found.columns, found.fetchall()) == ([name], [(text,)])


@pytest.mark.parametrize("engine", ["spark", "trino"])
def test_other_engines_read_texts_and_names_as_they_are(engine: str) -> None:
    try:
        import sqlglot
    except ImportError:
        missing("no sqlglot, which parses SQL")

    @given(text=TEXTS)
    def check(text: str) -> None:
        dialect = DIALECTS[engine]
        name = text or "empty"
        sql = f"SELECT {dialect.text(text)} AS {dialect.name(name)}"
        (column,) = sqlglot.parse_one(sql, dialect=engine).expressions
        assert (column.alias, column.this.this) == (name, text)

    check()


def _sql(warehouse: Warehouse, engine: str, **selection: Any) -> str:
    chosen = Selection(table="profiles.small", **selection)
    return engine_sql({"profiles.small": warehouse.table("small")}, chosen, engine)


@pytest.mark.parametrize("engine", ["duckdb", "trino"])
def test_columns_that_differ_in_letter_case_only_are_refused(
    warehouse: Warehouse, engine: str
) -> None:
    write(warehouse, batch([1], A=[1.0], a=[2.0]))
    with pytest.raises(QueryError, match="A and a differ"):
        _sql(warehouse, engine)
    assert 't."image_id" AS "image_id"' in _sql(warehouse, engine, columns=["image_id"])
    assert _sql(warehouse, "spark").startswith("SET spark.sql.caseSensitive = true;\nSELECT")


def test_several_plates_are_a_list(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]))
    sql = _sql(warehouse, "trino", plate=["P1", "it's"], columns=["image_id"], limit=3)
    expected = """SELECT
  t."image_id" AS "image_id"
FROM "profiles"."small" t
WHERE t."plate_id" IN ('P1', 'it''s')
LIMIT 3"""
    assert sql == expected


def test_a_folder_keeps_no_views(built: Warehouse) -> None:
    with pytest.raises(ConfigurationError, match="keeps no views, only REST catalogs do"):
        create_view(built)
