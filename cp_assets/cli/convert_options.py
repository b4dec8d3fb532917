"""The options of ``cp-assets convert``; their defaults are those of `ImageOptions`."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, get_args

import click
from click.core import ParameterSource
from pydantic import ByteSize, TypeAdapter, ValidationError

from cp_assets.datasets import SHIPPED, Border, Dataset, ImageOptions, Layout, Measurements
from cp_assets.errors import ConfigurationError

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _pairs(_: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Read ``LEFT=RIGHT``, given several times."""
    pairs = {}
    for text in given:
        left, equals, right = text.partition("=")
        if not equals or not left or not right:
            msg = f"{option.opts[0]} {text!r}: expected LEFT=RIGHT"
            raise ConfigurationError(msg)
        pairs[left] = right
    return pairs


def _bytes(_: click.Context, option: click.Parameter, text: str) -> int:
    """Read a size such as ``512MiB`` or ``2 GB``."""
    try:
        return int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError as error:
        msg = f"{option.opts[0]} {text!r} is no size; write for example 512MiB"
        raise ConfigurationError(msg) from error


def _level(_: click.Context, __: click.Parameter, level: int) -> int | None:
    """Read a compression level, of which 0 is none."""
    return level or None


_name = partial(click.option, metavar="NAME")
_names = partial(_name, multiple=True)

_OPTIONS = (
    click.option(
        "--image-dir",
        metavar="FOLDER",
        help="Source images lie below it; a gallery prefix has its own folders.",
    ),
    click.option("--mask-dir", metavar="FOLDER", help="Masks lie below it; goes with --image-dir."),
    click.option(
        "--outline-dir", metavar="FOLDER", help="Outlines lie below it; goes with --image-dir."
    ),
    click.option(
        "--include-source-images",
        is_flag=True,
        default=ImageOptions.include_source_images,
        help="Also write whole source images, to images.source_images.",
    ),
    click.option(
        "--bbox-column",
        "bbox_column_map",
        multiple=True,
        callback=_pairs,
        metavar="EDGE=COLUMN",
        help="Column of the joined profiles that holds an edge of the box, in pixels: x_min=..., "
        "x_max=..., y_min=..., y_max=..., four times. Default: the columns that CellProfiler "
        "writes.",
    ),
    click.option(
        "--segmentation-regex",
        "segmentation_file_regex",
        multiple=True,
        callback=_pairs,
        metavar="OVERLAY=SOURCE",
        help="Pattern of a mask's or outline's file name, and of its source image's; several "
        "times. Default: overlays are found by the image's name, or its well and site.",
    ),
    click.option(
        "--annotation",
        "annotations",
        multiple=True,
        metavar="FILE",
        help="CSV, TSV or Parquet file with a column of wells (Well, well_position, ...), of "
        "plates (Plate, ...) or of both; its other columns join the profiles as Metadata_...; "
        "several times, of two values the first counts. A gallery prefix has its own plate maps.",
    ),
    click.option(
        "--path-prefix",
        "path_prefix_map",
        multiple=True,
        callback=_pairs,
        metavar="RECORDED=HERE",
        help="Where paths that Image.csv or LoadData record with one prefix lie now; several "
        "times.",
    ),
    _names(
        "--channel",
        "channels",
        help="Crop this channel only, by CellProfiler's name, such as OrigDNA; several times. "
        "Default: all.",
    ),
    _names(
        "--well",
        "wells",
        help="Crop this well only, in any spelling (a1); several times. Default: all.",
    ),
    _names(
        "--site",
        "sites",
        help="Crop this site only; several times. Default: all.",
    ),
    _name(
        "--box-compartment",
        help="Whose box is cut, such as Nuclei. Default: the largest of Cells, Cytoplasm, Nuclei.",
    ),
    click.option(
        "--padding",
        default=ImageOptions.padding,
        show_default=True,
        metavar="PIXELS",
        help="Added on each side of the box; not with --crop-size.",
    ),
    click.option(
        "--crop-size",
        type=int,
        metavar="PIXELS",
        help="Cut squares of this height and width around the box's centre. Default: the box.",
    ),
    click.option(
        "--border",
        type=click.Choice(get_args(Border)),
        default=ImageOptions.border,
        show_default=True,
        help="What a crop holds over the image's edge: nothing (it is smaller), zeros, the "
        "nearest pixel, or its own pixels mirrored.",
    ),
    click.option(
        "--zstd-level",
        default=ImageOptions.zstd_level,
        show_default=True,
        callback=_level,
        metavar="LEVEL",
        help="Compression of the stored pixels, 1 (fast) to 22 (small); 0 for none.",
    ),
    click.option(
        "--follow-links",
        is_flag=True,
        default=ImageOptions.follow_links,
        help="Use images behind links that lead out of the folders given; else they are rejected.",
    ),
    click.option(
        "--layout",
        type=click.Choice(get_args(Layout)),
        help="How SOURCE is laid out. Default: a gallery prefix where there is a "
        "workspace/analysis or workspace/backend, else CellProfiler's folders.",
    ),
    _name(
        "--preset",
        help=f"Dialect of the measurement tables: {', '.join(preset.name for preset in SHIPPED)}, "
        "or one that cp_assets.yaml defines. Default: the first of these that fits.",
    ),
    click.option(
        "--measurements",
        type=click.Choice(get_args(Measurements)),
        default=Dataset.measurements,
        show_default=True,
        help="Which workspace folder of a gallery prefix is read; automatic: analysis where the "
        "plate has it, else backend.",
    ),
    _name(
        "--dataset-id",
        help="Name of the dataset. Default: that of the folder that SOURCE is or lies in.",
    ),
    _name(
        "--batch-id",
        help="Name of the batch, where SOURCE is no gallery prefix. Default: unbatched.",
    ),
    _name(
        "--plate-id",
        help="Name of the plate, where SOURCE is no gallery prefix. Default: what the Image table "
        "says, else SOURCE's own name.",
    ),
    click.option(
        "--workers",
        default=ImageOptions.workers,
        show_default=True,
        metavar="COUNT",
        help="Image sets decoded at the same time.",
    ),
    click.option(
        "--max-memory",
        default=f"{ImageOptions.max_memory // 2**20}MiB",
        show_default=True,
        callback=_bytes,
        metavar="SIZE",
        help="Most memory for pixels in work, such as 2GB; at least 64MiB.",
    ),
    click.option("--force", is_flag=True, help="Write even what is unchanged."),
    click.option(
        "--fail-fast",
        is_flag=True,
        help="Stop at the first plate that fails. Default: the others are built, then those that "
        "failed are named, with exit code 1.",
    ),
)


def convert_options(command: _Command) -> _Command:
    """Add the options of ``convert`` to a command, under the names of `cp_assets.convert`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def only_given(options: dict[str, Any]) -> dict[str, Any]:
    """Those of the running command's options that the user set."""
    source, default = click.get_current_context().get_parameter_source, ParameterSource.DEFAULT
    return {name: value for name, value in options.items() if source(name) is not default}
