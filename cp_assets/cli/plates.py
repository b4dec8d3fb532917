"""``cp-assets plates``: what lies below the configured datasets."""

import os
from pathlib import Path
from typing import Any

import click

from cp_assets.cli.common import (
    chosen_datasets,
    config_option,
    say,
    warehouse_option,
)
from cp_assets.cli.store_options import store_options, take_store_options
from cp_assets.datasets import Dataset, PlateKey, find_plates, list_plates
from cp_assets.datasets.unread import unread_measurements
from cp_assets.errors import ConfigurationError


@click.command(epilog="Example: cp-assets plates --config cp_assets.yaml")
@click.argument("source", required=False)
@click.option("--details", is_flag=True, help="Also say what there is of each plate.")
@store_options
@click.option("--register", is_flag=True, help="Also add them to Dagster (DAGSTER_HOME).")
@warehouse_option
@config_option
def plates(
    source: str | None,
    *,
    details: bool,
    register: bool,
    warehouse: str | None,
    config: str | None,
    **of_stores: Any,
) -> None:
    """List the plates of the configured datasets, or of a folder or URL.

    Of a gallery prefix in a store by the names of folders alone; --details looks into each plate.
    """
    if register and not os.environ.get("DAGSTER_HOME"):
        msg = "--register adds partitions to Dagster's instance: set DAGSTER_HOME to its folder"
        raise ConfigurationError(msg)
    found: list[PlateKey] = []
    for dataset in chosen_datasets(source, config, take_store_options(of_stores)):
        # Of a folder near by all plates are looked into; where tables name them they must be.
        is_near = dataset.layout == "cellprofiler" or isinstance(dataset.root, Path)
        found += _looked_into(dataset) if details or is_near else _by_name(dataset)
    if register:
        from cp_assets.partitions import register_plates
        from cp_assets.running.jobs import dagster_instance

        with dagster_instance() as instance:
            say(f"{len(register_plates(instance, found))} new partition(s)")


def _looked_into(dataset: Dataset) -> list[PlateKey]:
    found = find_plates(dataset)
    for key, one in found.items():
        click.echo(f"{key}\t{len(one.folders)} measurement folder(s)\t{one.choice}")
    for line in unread_measurements(dataset, found.values()):
        say(line)
    return list(found)


def _by_name(dataset: Dataset) -> list[PlateKey]:
    names = list(list_plates(dataset))
    for key in names:
        click.echo(str(key))
    if not names:
        say(f"dataset {dataset.dataset_id}: no plate below {dataset.root}")
    return names
