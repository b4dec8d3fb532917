"""The joined view as a view of the catalog, where the catalog keeps views (REST)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from pyiceberg.view.metadata import SQLViewRepresentation, ViewRepresentation, ViewVersion

from cp_assets.errors import ConfigurationError
from cp_assets.warehouse.engine_sql import engine_sql, needed_tables
from cp_assets.warehouse.foreign_errors import catalog_errors
from cp_assets.warehouse.query import Selection
from cp_assets.warehouse.schemas import arrow_schema
from cp_assets.warehouse.view_sql import LINKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.table import Table

    from cp_assets.warehouse.warehouse import Warehouse

VIEW = ("views", "profile_with_images")
"""The view's name, in a namespace of its own: beside the table no view may be called like it."""

ENGINES = ("spark", "trino")
"""Engines that read views of a catalog; each has its own SQL in the view."""


def create_view(warehouse: Warehouse) -> str:
    """Create the view `VIEW`, or make it anew; its full name.

    It has the columns that the tables have now: make it anew when plates brought more.

    Raises
    ------
    ConfigurationError
        If the catalog keeps no views.
    NoSuchTableError
        If one of the tables is not there yet.
    QueryError
        If an engine cannot tell columns apart.
    """
    tables = {name: warehouse.table(name) for name in needed_tables(LINKS)}
    name = ".".join(VIEW)
    version = ViewVersion(
        schema_id=0,
        summary={"engine-name": "cp_assets"},
        representations=[_representation(tables, engine) for engine in ENGINES],
        default_namespace=VIEW[:1],
    )
    catalog = warehouse.catalog
    try:
        with catalog_errors(f"warehouse {warehouse.name}: the view {name} cannot be created"):
            if catalog.view_exists(VIEW):
                catalog.drop_view(VIEW)
            catalog.create_namespace_if_not_exists(VIEW[0])
            catalog.create_view(VIEW, _schema(tables), version)
    except NotImplementedError as error:
        msg = (
            f"warehouse {warehouse.name}: its catalog keeps no views, only REST catalogs do; run "
            "what `cp-assets sql profile_with_images` prints in the engine instead"
        )
        raise ConfigurationError(msg) from error
    return name


def _representation(tables: Mapping[str, Table], engine: str) -> ViewRepresentation:
    sql = engine_sql(tables, Selection(table=LINKS), engine)
    return ViewRepresentation(SQLViewRepresentation(type="sql", sql=sql, dialect=engine))


def _schema(tables: Mapping[str, Table]) -> pa.Schema:
    """The view's columns, in the order of the join."""
    fields: dict[str, pa.Field] = {}
    for table in tables.values():
        for field in arrow_schema(table.schema()):
            fields.setdefault(field.name, field.with_nullable(True))
    return pa.schema(list(fields.values()))
