"""What the commands share: options, where the warehouse is, what is said where."""

from pathlib import Path
from typing import Any

import click

from cp_assets.cli.store_options import with_options
from cp_assets.datasets import Dataset, dataset_from_folder
from cp_assets.datasets.config import read_configuration
from cp_assets.errors import ConfigurationError
from cp_assets.stores import place
from cp_assets.warehouse.catalog import hold_configured
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse

warehouse_option = click.option(
    "--warehouse", metavar="PATH|NAME", help="Folder, or configured PyIceberg catalog."
)
config_option = click.option(
    "--config", metavar="FILE", help="cp_assets.yaml; default: CP_ASSETS_CONFIG."
)


def say(text: str) -> None:
    """Tell a person: standard output is for results."""
    click.echo(text, err=True)


def warehouse_location(warehouse: str | None, config: str | None) -> str | None:
    """The warehouse that is named, else that of ``cp_assets.yaml``."""
    return warehouse or hold_configured(read_configuration(config).warehouse)


def open_configured(warehouse: str | None, config: str | None) -> Warehouse:
    """The warehouse, to be read."""
    return open_warehouse(warehouse_location(warehouse, config))


def chosen_datasets(
    source: str | None, config: str | None, of_stores: dict[str, Any] | None = None
) -> tuple[Dataset, ...]:
    """The dataset of a folder or URL, else those that are configured.

    Parameters
    ----------
    of_stores
        What the command says of all URLs, see `cp_assets.cli.store_options.take_store_options`.

    Raises
    ------
    ConfigurationError
        If there are none.
    """
    if source is not None and "://" not in source:
        return (dataset_from_folder(Path(source)),)
    configuration = read_configuration(config)
    if source is not None:
        stores = with_options(configuration.stores, of_stores or {})
        return (dataset_from_folder(place(source, stores)),)
    if not configuration.datasets:
        msg = (
            "no dataset is configured; write cp_assets.yaml, "
            "or name it with --config or CP_ASSETS_CONFIG"
        )
        raise ConfigurationError(msg)
    return configuration.datasets


def print_tables(warehouse: Warehouse) -> None:
    """Print what each table holds."""
    rows = warehouse.describe().to_pylist()
    click.echo(f"\n{'table':<32} {'rows':>12} {'plates':>7} {'files':>6} {'size':>10}")
    for row in rows:
        size = f"{row['bytes'] / 1e6:,.1f} MB"
        click.echo(
            f"{row['table']:<32} {row['rows']:>12,} {row['plates']:>7,} "
            f"{row['data_files']:>6,} {size:>10}"
        )
