"""``cp-assets convert``: a folder into a warehouse, without Dagster."""

import sys
from typing import Any

import click

import cp_assets
from cp_assets.cli.common import (
    config_option,
    print_tables,
    say,
    warehouse_location,
    warehouse_option,
)
from cp_assets.cli.convert_options import convert_options, only_given
from cp_assets.cli.store_options import store_options, take_store_options, with_options
from cp_assets.datasets import PlateKey, choose_preset
from cp_assets.datasets.config import read_configuration
from cp_assets.errors import PlatesFailedError
from cp_assets.warehouse.catalog import default_warehouse
from cp_assets.warehouse.warehouse import open_warehouse


@click.command(epilog="Example: cp-assets convert CellProfiler/ --warehouse wh --image-dir images/")
@click.argument("source")
@convert_options
@store_options
@click.option(
    "--no-join", is_flag=True, help="Keep measurements as they are: no joined profiles, no crops."
)
@warehouse_option
@config_option
def convert(
    source: str,
    *,
    no_join: bool,
    warehouse: str | None,
    config: str | None,
    **options: Any,
) -> None:
    """Convert CellProfiler's output, with its images, into a warehouse, without Dagster.

    SOURCE is a folder of measurement files or of such folders, a Cell Painting Gallery prefix, or
    one file that holds all tables: an SQLite database, CellProfiler's one object.csv, an export of
    IN Carta or a site of DeepProfiler. What lies beside such a file is not read. It may be a URL,
    and so may the folders: s3://, gs:// or az://.
    """
    of_stores = take_store_options(options)
    given = only_given(options)
    if config or of_stores:
        given["stores"] = with_options(read_configuration(config).stores, of_stores)
    if "preset" in given:
        given["preset"] = choose_preset(given["preset"], read_configuration(config).presets)

    def report(plate: PlateKey, build: Any) -> None:
        found = f"{build.rows:,} rows" if build.state != "skipped" else build.reason
        lost = (
            f", {sum(build.rejected.values()):,} rejected or incomplete" if build.rejected else ""
        )
        say(f"{plate}  {build.table:<32} {build.state:<10} {found}{lost}")

    place = warehouse_location(warehouse, config) or default_warehouse()
    try:
        opened = cp_assets.convert(source, place, join=not no_join, report=report, **given)
    except PlatesFailedError as error:
        print_tables(open_warehouse(place))
        say(str(error))
        sys.exit(1)
    print_tables(opened)
