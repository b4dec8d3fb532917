"""``cp-assets sql``: what to run in DuckDB, Spark or Trino to read a table."""

from typing import Any

import click

from cp_assets.cli.common import config_option, open_configured, say, warehouse_option
from cp_assets.errors import ConfigurationError
from cp_assets.warehouse.catalog_views import create_view
from cp_assets.warehouse.engine_sql import DIALECTS, engine_sql, needed_tables
from cp_assets.warehouse.query import Selection
from cp_assets.warehouse.view_sql import LINKS


@click.command(
    epilog="Example: cp-assets sql profile_with_images --engine spark --plate BR00116991 "
    "--columns Metadata_Well,Cells_AreaShape_Area,ome_arrow_image"
)
@click.argument("table")
@click.option("--engine", type=click.Choice(list(DIALECTS)), default="duckdb", show_default=True)
@click.option("--dataset")
@click.option("--batch")
@click.option("--plate")
@click.option("--well")
@click.option("--site")
@click.option("--columns", help="Comma-separated names; all by default.")
@click.option("--limit", type=click.IntRange(min=0))
@click.option(
    "--catalog",
    metavar="NAME",
    help="What the engine calls the catalog; default: cp-assets in Spark, cp_assets in Trino, "
    "none in DuckDB, which is told the tables' newest metadata files.",
)
@click.option(
    "--create-view",
    "creates",
    is_flag=True,
    help="Of profile_with_images: create it in a REST catalog as views.profile_with_images, for "
    "Spark and Trino. Again after plates that brought new columns.",
)
@warehouse_option
@config_option
def sql(  # noqa: PLR0913 - one option each
    table: str,
    *,
    engine: str,
    columns: str | None,
    catalog: str | None,
    creates: bool,
    warehouse: str | None,
    config: str | None,
    **selection: Any,
) -> None:
    """Print the SQL that reads a table in DuckDB, Spark or Trino.

    Of profile_with_images that is the joined view: links, profiles and crops.
    """
    opened = open_configured(warehouse, config)
    name = opened.qualify(table)
    if creates:
        if name != LINKS:
            msg = f"--create-view is for profile_with_images, not for {table}, which is a table"
            raise ConfigurationError(msg)
        say(f"created the view {create_view(opened)}")
        return
    chosen = [one.strip() for one in columns.split(",")] if columns else None
    wanted = Selection(table=name, columns=chosen, **selection)
    tables = {part: opened.table(part) for part in needed_tables(name)}
    click.echo(engine_sql(tables, wanted, engine, catalog or DIALECTS[engine].catalog) + ";")
