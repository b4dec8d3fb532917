"""``cp-assets plates``: what lies below the configured datasets."""

from pathlib import Path

import click

from cp_assets.cli.common import (
    chosen_datasets,
    config_option,
    found_plates,
    say,
    warehouse_option,
)
from cp_assets.datasets.unread import unread_measurements


@click.command(epilog="Example: cp-assets plates --config cp_assets.yaml")
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option("--register", is_flag=True, help="Also add them to Dagster (DAGSTER_HOME).")
@warehouse_option
@config_option
def plates(
    source: Path | None, *, register: bool, warehouse: str | None, config: str | None
) -> None:
    """List the plates of the configured datasets, or of a folder."""
    datasets = chosen_datasets(source, config)
    found = found_plates(datasets)
    for key, sources in found.items():
        click.echo(f"{key}\t{len(sources.folders)} measurement folder(s)\t{sources.choice}")
    for dataset in datasets:
        own = [one for key, one in found.items() if key.dataset_id == dataset.dataset_id]
        for line in unread_measurements(dataset, own):
            say(line)
    if register:
        from cp_assets.jobs import dagster_instance
        from cp_assets.partitions import register_plates

        with dagster_instance() as instance:
            say(f"{len(register_plates(instance, found))} new partition(s)")
