"""``cp-assets register``, ``publish-chunks`` and ``ingest``: image stores by themselves."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from cp_assets.cli.common import config_option, say, warehouse_location, warehouse_option
from cp_assets.cli.store_options import store_options, take_store_options, with_options
from cp_assets.datasets.config import read_configuration
from cp_assets.errors import CpAssetsError, one_line

_Command = TypeVar("_Command", bound=Callable[..., Any])

_KEYS = (
    click.option(
        "--dataset-id", metavar="ID", help="Default: the name of PATH, without its ending."
    ),
    click.option("--batch-id", metavar="ID", help="Default: unbatched."),
    click.option("--plate-id", metavar="ID", help="Default: the name of PATH, without its ending."),
)


def _shared(command: _Command) -> _Command:
    """Add what the commands share."""
    for option in (
        click.option("--force", is_flag=True, help="Write even what is unchanged."),
        store_options,
        warehouse_option,
        config_option,
    ):
        command = option(command)
    return command


def _keys(command: _Command) -> _Command:
    for option in reversed(_KEYS):
        command = option(command)
    return command


@click.command(epilog="Example: cp-assets register --publish-chunks plate.zarr --warehouse wh")
@click.argument("path")
@_keys
@click.option("--publish-chunks", is_flag=True, help="Write images.chunk_index, too.")
@_shared
def register(path: str, *, publish_chunks: bool, **options: Any) -> None:
    """Write what the headers of an image store say to images.image_assets.

    PATH is a TIFF, PNG or Zarr, or a folder or prefix of them. Registering it again replaces its
    rows, and changes nothing where the store is unchanged.
    """
    _print(_registered(path, options, chunks=publish_chunks))


@click.command("publish-chunks", epilog="Example: cp-assets publish-chunks plate.zarr")
@click.argument("path")
@_keys
@_shared
def publish_chunks(path: str, **options: Any) -> None:
    """Write where the tiles and chunks of an image store lie to images.chunk_index.

    Images without chunks have no rows.
    """
    _print(_registered(path, options, image_assets=False))


@click.command(epilog="Example: cp-assets ingest plate1.zarr plate2.zarr images/ --warehouse wh")
@click.argument("paths", nargs=-1, required=True)
@click.option("--skip-chunks", is_flag=True, help="Leave images.chunk_index out.")
@_shared
def ingest(paths: tuple[str, ...], *, skip_chunks: bool, **options: Any) -> None:
    """Register several stores or folders, each as a dataset of its own, called by its name.

    One that cannot be read does not stop the others: it is named when they are done, with exit
    code 1.
    """
    done: list[dict[str, Any]] = []
    failed = False
    for path in paths:
        try:
            done.append(_registered(path, dict(options), chunks=not skip_chunks))
        except CpAssetsError as error:
            failed = True
            say(f"{path}: {one_line(error)}")
    total = {
        name: sum(one[name] for one in done)
        for name in ("image_assets_rows_published", "chunk_rows_published")
    }
    _print({"dataset_count": len(done), **total, "datasets": done})
    if failed:
        click.get_current_context().exit(1)


def _registered(
    path: str, options: dict[str, Any], *, image_assets: bool = True, chunks: bool = True
) -> dict[str, Any]:
    # Imported here: image libraries take a while, and --help needs none of them.
    from cp_assets.building.registering import register as register_store

    warehouse, config = options.pop("warehouse"), options.pop("config")
    of_stores = take_store_options(options)
    stores = with_options(read_configuration(config).stores, of_stores)
    given = {name: value for name, value in options.items() if value is not None}
    place = warehouse_location(warehouse, config)
    registered = register_store(
        path, place, stores=stores, image_assets=image_assets, chunks=chunks, **given
    )
    return registered.to_dict()


def _print(result: dict[str, Any]) -> None:
    click.echo(json.dumps(result, indent=2))
