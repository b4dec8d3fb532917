"""``cp-assets scan`` and ``summarize``: what image files and Zarr stores hold, by their headers."""

import json
from typing import Any

import click

from cp_assets.cli.common import config_option, say
from cp_assets.cli.store_options import store_options, take_store_options, with_options
from cp_assets.datasets.config import read_configuration
from cp_assets.stores import StoreSettings

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command(epilog="Example: cp-assets scan images/plate.ome.zarr --json")
@click.argument("path")
@_json_option
@store_options
@config_option
def scan(path: str, *, as_json: bool, config: str | None, **options: Any) -> None:
    """List the images of a file, a Zarr store, or all below a folder; no pixels are read.

    PATH is a TIFF, PNG or Zarr, a folder of them, or a URL: s3://, gs:// or az://. Of a folder,
    files that end in .tif, .tiff or .png are scanned, and folders that end in .zarr. With --json
    each store is one line, a JSON document of its own. Warnings go to standard error.
    """
    from cp_assets.scanning import scan_all

    for number, result in enumerate(scan_all(path, _stores(config, options))):
        if as_json:
            click.echo(result.to_json())
        else:
            if number == 0:
                click.echo(_LINE.format("image", "dtype", "shape", "axes", "chunks", "channels"))
            for asset in result.image_assets:
                click.echo(_line(asset))
        for warning in result.warnings:
            say(f"warning: {warning}")


@click.command(epilog="Example: cp-assets summarize images/ --json")
@click.argument("path")
@_json_option
@store_options
@config_option
def summarize(path: str, *, as_json: bool, config: str | None, **options: Any) -> None:
    """Sum up the images of a file, a Zarr store, or all below a folder; no pixels are read.

    PATH is as in scan.
    """
    from cp_assets.scanning import summarize as sum_up

    summary = sum_up(path, _stores(config, options)).to_dict()
    if as_json:
        click.echo(json.dumps(summary))
        return
    for name, value in summary.items():
        click.echo(f"{name.replace('_', ' '):<20}  {_words(value)}")


def _stores(config: str | None, options: dict[str, Any]) -> StoreSettings:
    return with_options(read_configuration(config).stores, take_store_options(options))


_LINE = "{:<48} {:<9} {:<22} {:<7} {:<20} {}"


def _line(asset: Any) -> str:
    chunks = "" if asset.chunk_shape is None else _sizes(asset.chunk_shape)
    names = ", ".join(name for name in asset.channel_names if name)
    where = f"{asset.uri}/{asset.array_path}" if asset.array_path else asset.uri
    return _LINE.format(
        where, asset.dtype, _sizes(asset.shape), asset.axes or "?", chunks, names
    ).rstrip()


def _sizes(shape: Any) -> str:
    return "x".join(map(str, shape)) or "()"


def _words(value: Any) -> str:
    if not isinstance(value, list):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return ", ".join(_sizes(one) if isinstance(one, list) else str(one) for one in value) or "-"
