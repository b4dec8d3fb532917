"""``cp-assets validate-contract`` and ``join-profiles``: what links profiles to images."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cp_assets.cli.common import config_option, say, warehouse_location, warehouse_option
from cp_assets.cli.store_options import store_options, take_store_options, with_options
from cp_assets.contract.result import ContractResult
from cp_assets.datasets.config import read_configuration
from cp_assets.stores import StoreSettings

_INVALID = 1
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _alias_options(command: _Command) -> _Command:
    for option in (
        click.option(
            "--alias",
            "words",
            multiple=True,
            metavar="NAME=COLUMN",
            help="Column that serves for a name of the contract; counts more than --aliases.",
        ),
        click.option(
            "--aliases",
            "file",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="TOML with [microscopy.aliases], as iceberg-bioimage has it.",
        ),
        click.option(
            "--images-dataset-id",
            metavar="ID",
            help="dataset_id of images that are scanned; default: the store's name.",
        ),
    ):
        command = option(command)
    return command


@click.command(
    "validate-contract",
    epilog="Example: cp-assets validate-contract cells.parquet --images plate.zarr "
    "--alias image_id=ImageKey",
)
@click.argument("target", metavar="FILE|TABLE")
@click.option(
    "--images",
    metavar="PATH|TABLE",
    help="Image store, folder of images, table of images or warehouse that the rows shall find.",
)
@_alias_options
@click.option("--dataset-id", metavar="ID", help="Of all rows, where no column has it.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as JSON.")
@store_options
@warehouse_option
@config_option
def validate_contract(
    target: str,
    *,
    as_json: bool,
    words: tuple[str, ...],
    file: Path | None,
    warehouse: str | None,
    config: str | None,
    **options: Any,
) -> None:
    """Hold a profile table against the join contract.

    FILE is Parquet, CSV (.csv, .csv.gz) or a folder of Parquet files; a name that is no path is a
    table of the warehouse. Exit code 0: it keeps the contract, 1: it does not, 2: a mistake.
    """
    from cp_assets.contract.front import validate_contract as validate
    from cp_assets.contract.given_aliases import aliases_of

    result = validate(
        target,
        warehouse=warehouse_location(warehouse, config),
        aliases=aliases_of(file, words),
        stores=_stores(config, options),
        **options,
    )
    click.echo(result.to_json(indent=2, sort_keys=True) if as_json else _shown(result))
    sys.exit(0 if result.is_valid else _INVALID)


@click.command(
    "join-profiles",
    epilog="Example: cp-assets join-profiles plate.zarr cells.parquet --output joined.parquet",
)
@click.argument("images", metavar="IMAGES")
@click.argument("profiles", metavar="PROFILES")
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="Parquet file to write."
)
@click.option("--include-chunks", is_flag=True, help="One row for each chunk of an image.")
@click.option(
    "--keep-unmatched", is_flag=True, help="Keep rows without an image; left out otherwise."
)
@click.option(
    "--profile-dataset-id", metavar="ID", help="dataset_id of all profiles, where no column has it."
)
@_alias_options
@store_options
@warehouse_option
@config_option
def join_profiles(  # noqa: PLR0913 - one option each
    images: str,
    profiles: str,
    *,
    output: Path,
    words: tuple[str, ...],
    file: Path | None,
    warehouse: str | None,
    config: str | None,
    **options: Any,
) -> None:
    """Join the metadata of images to profiles, and write Parquet.

    IMAGES is an image store or a folder of such, a table of images, or a warehouse; PROFILES is
    Parquet, CSV or a folder of Parquet files. A name that is no path is a table of the warehouse.
    """
    from cp_assets.contract.front import join_profiles as join
    from cp_assets.contract.given_aliases import aliases_of

    summary = join(
        images,
        profiles,
        output,
        warehouse=warehouse_location(warehouse, config),
        aliases=aliases_of(file, words),
        stores=_stores(config, options),
        **options,
    )
    if not summary.rows_written and summary.profile_rows:
        say(
            f"no row of {profiles} finds an image of {images}: compare their dataset_id and "
            "image_id, such as with validate-contract --images"
        )
    click.echo(summary.to_json(indent=2, sort_keys=True))


def _stores(config: str | None, options: dict[str, Any]) -> StoreSettings:
    return with_options(read_configuration(config).stores, take_store_options(options))


def _shown(result: ContractResult) -> str:
    """The lines of iceberg-bioimage, then what it does not look at."""
    listed = {
        "required_columns": result.required_columns,
        "recommended_columns": result.recommended_columns,
        "missing_required_columns": result.missing_required_columns,
        "missing_recommended_columns": result.missing_recommended_columns,
    }
    lines = [f"target: {result.target}", f"is_valid: {result.is_valid}"]
    lines += [f"{name}: {', '.join(columns)}" for name, columns in listed.items() if columns]
    lines.append(f"rows: {result.rows:,}")
    if result.row_key is not None:
        key = result.row_key
        lines.append(f"row_key: {' + '.join(key.columns)} ({key.level}), {key.repeated:,} repeated")
    if result.coverage is not None:
        found = result.coverage
        lines.append(f"rows with image: {found.rows_with_image:,} of {found.rows:,}")
        lines.append(f"images with rows: {found.images_with_rows:,} of {found.images:,}")
    for name, told in (("errors", result.errors), ("warnings", result.warnings)):
        if told:
            lines += [f"{name}:", *(f"- {line}" for line in told)]
    return "\n".join(lines)
