"""``cp-assets``: the command line."""

import errno
import logging
import os
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

import cp_assets
from cp_assets.building.rejected import REJECTED_ROWS
from cp_assets.convert_options import convert_options, only_given
from cp_assets.datasets import (
    Dataset,
    PlateKey,
    choose_preset,
    dataset_from_folder,
    find_plates,
    list_plates,
)
from cp_assets.datasets.config import Configuration, read_configuration
from cp_assets.datasets.identity import normalise_site, normalise_well
from cp_assets.datasets.unread import unread_measurements
from cp_assets.errors import (
    ConfigurationError,
    CpAssetsError,
    PlateNotFoundError,
    PlatesFailedError,
    one_line,
)
from cp_assets.store_options import store_options, take_store_options, with_options
from cp_assets.stores import place
from cp_assets.warehouse.catalog import default_warehouse
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse

_USER_ERROR = 2
_warehouse = click.option(
    "--warehouse", metavar="PATH|NAME", help="Folder, or configured PyIceberg catalog."
)
_config = click.option(
    "--config", metavar="FILE", help="cp_assets.yaml; default: CP_ASSETS_CONFIG."
)


class _Commands(click.Group):
    """Ends a user's mistake with one clear line and exit code 2, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CpAssetsError as error:
            click.echo(f"cp-assets: {one_line(error)}", err=True)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            click.echo(
                f"cp-assets: {error.filename or 'a file'}: {error.strerror or error}", err=True
            )
        return ctx.exit(_USER_ERROR)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(cp_assets.__version__)
@click.option("-v", "--verbose", is_flag=True, help="Log every step to standard error.")
def main(*, verbose: bool) -> None:
    """Cell Painting prefixes as Apache Iceberg warehouses, plate by plate."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, stream=sys.stderr, format="%(message)s", force=True)


def _say(text: str) -> None:
    click.echo(text, err=True)


@main.command(epilog="Example: cp-assets demo ./demo")
@click.argument("home", type=click.Path(path_type=Path), default=Path("demo"))
@click.option("--plates", default=2, show_default=True)
@click.option("--wells", default=4, show_default=True)
@click.option("--sites", default=2, show_default=True)
@_warehouse
@_config
def demo(
    home: Path, plates: int, wells: int, sites: int, warehouse: str | None, config: str | None
) -> None:
    """Make sample plates, build every table through Dagster, and draw some cells."""
    from cp_assets.demo import DemoHome, run_demo
    from cp_assets.sample import SampleOptions

    if warehouse or config:
        msg = (
            "the demo makes its own warehouse and configuration; leave --warehouse and --config out"
        )
        raise ConfigurationError(msg)
    options = SampleOptions(plates=plates, wells=wells, sites=sites)
    result = run_demo(DemoHome(home), options, report=_say)
    _print_tables(result.warehouse)
    if result.picture:
        click.echo(f"\ncells with their outlines: {result.picture}")
    click.echo(f"open Dagster on it:        make ui   (or: cp-assets ui --home {home})")
    sys.exit(0 if all(run.succeeded for run in result.runs) else 1)


@main.command(epilog="Example: cp-assets ui --home ./demo")
@click.option("--home", type=click.Path(path_type=Path), default=Path("demo"), show_default=True)
@click.option("--port", default=3000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
def ui(home: Path, port: int, host: str) -> None:
    """Open Dagster's UI on the demo's instance (or any folder made like it)."""
    from cp_assets.demo import DemoHome

    place = DemoHome(home)
    if not place.config.is_file():
        msg = f"{place.config} does not exist; run `cp-assets demo {home}` first"
        raise ConfigurationError(msg)
    os.environ.update(place.environment())
    command = ["-m", "dagster", "dev", "-m", "cp_assets.definitions", "-h", host, "-p", str(port)]
    _say(f"Dagster on http://{host}:{port}, Ctrl-C ends it")
    os.execv(sys.executable, [sys.executable, *command])  # noqa: S606 - replaces this process, no shell


@main.command(epilog="Example: cp-assets sample ./sample --plates 2 --wells 6 --sites 4 --seed 1")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--plates", default=2, show_default=True)
@click.option("--wells", default=4, show_default=True)
@click.option("--sites", default=2, show_default=True)
@click.option("--seed", default=0, show_default=True)
def sample(out: Path, plates: int, wells: int, sites: int, seed: int) -> None:
    """Write a Cell Painting Gallery prefix of sample plates, with a known truth."""
    from cp_assets.sample import SampleOptions, write_sample

    options = SampleOptions(plates=plates, wells=wells, sites=sites, seed=seed)
    truth = write_sample(out / options.prefix, options)
    click.echo(truth.root)


@main.command(epilog="Example: cp-assets convert CellProfiler/ --warehouse wh --image-dir images/")
@click.argument("source")
@convert_options
@store_options
@click.option(
    "--no-join", is_flag=True, help="Keep measurements as they are: no joined profiles, no crops."
)
@_warehouse
@_config
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
        given["stores"] = with_options(_configuration(config).stores, of_stores)
    if "preset" in given:
        given["preset"] = choose_preset(given["preset"], _configuration(config).presets)

    def report(plate: PlateKey, build: Any) -> None:
        found = f"{build.rows:,} rows" if build.state != "skipped" else build.reason
        lost = (
            f", {sum(build.rejected.values()):,} rejected or incomplete" if build.rejected else ""
        )
        _say(f"{plate}  {build.table:<32} {build.state:<10} {found}{lost}")

    place = _location(warehouse, config) or default_warehouse()
    try:
        opened = cp_assets.convert(source, place, join=not no_join, report=report, **given)
    except PlatesFailedError as error:
        _print_tables(open_warehouse(place))
        _say(str(error))
        sys.exit(1)
    _print_tables(opened)


@main.command(epilog="Example: cp-assets plates --config cp_assets.yaml")
@click.argument("source", required=False)
@click.option("--details", is_flag=True, help="Also say what there is of each plate.")
@store_options
@click.option("--register", is_flag=True, help="Also add them to Dagster (DAGSTER_HOME).")
@_warehouse
@_config
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
    found: list[PlateKey] = []
    for dataset in _datasets(source, config, take_store_options(of_stores)):
        if details or dataset.layout == "cellprofiler" or isinstance(dataset.root, Path):
            looked_into = find_plates(dataset)
            for key, one in looked_into.items():
                click.echo(f"{key}\t{len(one.folders)} measurement folder(s)\t{one.choice}")
            for line in unread_measurements(dataset, looked_into.values()):
                _say(line)
            found += looked_into
            continue
        names = list_plates(dataset)
        for key in names:
            click.echo(str(key))
        if not names:
            _say(f"dataset {dataset.dataset_id}: no plate below {dataset.root}")
        found += names
    if register:
        from cp_assets.jobs import dagster_instance
        from cp_assets.partitions import register_plates

        with dagster_instance() as instance:
            _say(f"{len(register_plates(instance, found))} new partition(s)")


@main.command(epilog="Example: cp-assets materialize 'cpg0016*/2021_04_26_Batch1/*'")
@click.argument("pattern", default="*")
@click.option("--force", is_flag=True, help="Write even what is unchanged.")
@_warehouse
@_config
def materialize(pattern: str, *, force: bool, warehouse: str | None, config: str | None) -> None:
    """Build all tables of the plates whose key matches a pattern, through Dagster."""
    from cp_assets.jobs import dagster_instance, materialize_plates

    there = (key for dataset in _datasets(None, config) for key in list_plates(dataset))
    wanted = [key for key in there if fnmatchcase(str(key), pattern)]
    if not wanted:
        msg = f"no plate matches {pattern!r}; `cp-assets plates` lists the keys"
        raise PlateNotFoundError(msg)
    if config:
        os.environ["CP_ASSETS_CONFIG"] = config
    location = _location(warehouse, config)
    with dagster_instance() as instance:
        runs = list(
            materialize_plates(instance, wanted, force=force, warehouse=location, report=_say)
        )
    succeeded = sum(run.succeeded for run in runs)
    _say(f"{succeeded} of {len(runs)} plates succeeded")
    sys.exit(0 if succeeded == len(runs) else 1)


@main.command(epilog="Example: cp-assets tables --warehouse wh")
@_warehouse
@_config
def tables(warehouse: str | None, config: str | None) -> None:
    """Name the warehouse's tables."""
    for name in _open(warehouse, config).list_tables():
        click.echo(name)


@main.command(epilog="Example: cp-assets describe --warehouse wh")
@_warehouse
@_config
def describe(warehouse: str | None, config: str | None) -> None:
    """Show each table's rows, files, bytes, plates and snapshot."""
    _print_tables(_open(warehouse, config))


@main.command(
    epilog="Example: cp-assets read joined_profiles --plate BR00116991 --well a1 --limit 5"
)
@click.argument("table")
@click.option("--plate")
@click.option("--well")
@click.option("--site")
@click.option("--columns", help="Comma-separated names.")
@click.option("--where", help="SQL predicate in DuckDB's dialect.")
@click.option("--limit", type=int)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write .parquet or .csv instead of printing CSV."
)
@_warehouse
@_config
def read(
    table: str,
    *,
    columns: str | None,
    out: Path | None,
    warehouse: str | None,
    config: str | None,
    **selection: Any,
) -> None:
    """Read rows of a table: CSV to standard output, or a file."""
    chosen = [name.strip() for name in columns.split(",")] if columns else None
    opened = _open(warehouse, config)
    _check_plate(opened, table, selection["plate"])
    if not _write_rows(opened.scan(table, columns=chosen, **selection), out):
        _say(_no_rows(opened.qualify(table), selection))


@main.command(
    epilog="Example: cp-assets show --warehouse wh --plate BR00116991 --well A01 --out cells.png"
)
@click.option("--plate", help="Plate name or partition key; default: the first plate with crops.")
@click.option("--well")
@click.option("--site")
@click.option("--cells", default=48, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("cells.png"), show_default=True
)
@_warehouse
@_config
def show(  # noqa: PLR0913 - one option each
    *,
    plate: str | None,
    well: str | None,
    site: str | None,
    cells: int,
    out: Path,
    warehouse: str | None,
    config: str | None,
) -> None:
    """Write a contact sheet of cells with their outlines, as PNG."""
    from cp_assets.showing import crops_of_some_cells, sheet_png

    opened = _open(warehouse, config)
    key = _plate_with_crops(opened, plate)
    crops = crops_of_some_cells(
        opened,
        key,
        cells=cells,
        well=normalise_well(well) or well if well else None,
        site=normalise_site(site) if site else None,
    )
    if not crops.num_rows:
        msg = f"plate {key} has no crops in well {well or 'any'}, site {site or 'any'}"
        raise PlateNotFoundError(msg)
    out.write_bytes(sheet_png(crops, cells=cells))
    click.echo(out)


def _location(warehouse: str | None, config: str | None) -> str | None:
    return warehouse or _configuration(config).warehouse


def _configuration(config: str | None) -> Configuration:
    return read_configuration(config)


def _open(warehouse: str | None, config: str | None) -> Warehouse:
    return open_warehouse(_location(warehouse, config))


def _datasets(
    source: str | None, config: str | None, of_stores: dict[str, Any] | None = None
) -> tuple[Dataset, ...]:
    if source is not None and "://" not in source:
        return (dataset_from_folder(Path(source)),)
    configuration = _configuration(config)
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


def _check_plate(warehouse: Warehouse, table: str, plate: str | None) -> None:
    """Refuse a plate that the table does not have: no rows would look like an empty plate.

    The books have no rows of a plate of which nothing was rejected: any plate will do for them.
    """
    name = warehouse.qualify(table)
    tables = warehouse.list_tables() if name == REJECTED_ROWS.name else [name]
    there = sorted({key.plate_id for one in tables for key in warehouse.plates(one)})
    if plate is not None and plate not in there:
        msg = f"{table} has no plate {plate}; it has: {', '.join(there[:5]) or 'none'}"
        raise PlateNotFoundError(msg)


def _plate_with_crops(warehouse: Warehouse, plate: str | None) -> PlateKey:
    found = warehouse.plates("images.image_crops")
    matching = [key for key in found if plate in (None, key.plate_id, str(key))]
    if not matching:
        known = ", ".join(map(str, found[:5])) or "none"
        msg = f"no plate {plate or ''} with crops in {warehouse.name}; there are: {known}"
        raise PlateNotFoundError(msg)
    return matching[0]


def _no_rows(table: str, selection: dict[str, Any]) -> str:
    """Say what it means that no row was read."""
    given = {name for name, value in selection.items() if value is not None}
    if table != REJECTED_ROWS.name or given - {"plate"}:
        return f"{table} has no such rows"
    whose = f" of plate {selection['plate']}" if given else ""
    return f"{table} has no rows{whose}: nothing was rejected, and nothing is incomplete"


def _write_rows(rows: pa.RecordBatchReader, out: Path | None) -> int:
    """Write rows to a file, or as CSV to standard output; give their number."""
    if out is None:
        return _write_csv(rows, sys.stdout.buffer)
    if out.suffix == ".csv":
        with out.open("wb") as stream:
            return _write_csv(rows, stream)
    if out.suffix != ".parquet":
        msg = f"--out {out}: expected a name that ends in .parquet or .csv"
        raise ConfigurationError(msg)
    count = 0
    with pq.ParquetWriter(out, rows.schema) as writer:
        for batch in rows:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def _write_csv(rows: pa.RecordBatchReader, stream: Any) -> int:
    flat = [
        f.name
        for f in rows.schema
        if not pa.types.is_nested(f.type) and not pa.types.is_binary(f.type)
    ]
    if len(flat) < len(rows.schema):
        _say("columns of pixels are left out of CSV; --out rows.parquet keeps them")
    header = pa.schema([rows.schema.field(name) for name in flat])
    count = 0
    with pacsv.CSVWriter(stream, header) as writer:
        for batch in rows:
            writer.write_batch(batch.select(flat))
            count += batch.num_rows
    return count


def _print_tables(warehouse: Warehouse) -> None:
    rows = warehouse.describe().to_pylist()
    click.echo(f"\n{'table':<32} {'rows':>12} {'plates':>7} {'files':>6} {'size':>10}")
    for row in rows:
        size = f"{row['bytes'] / 1e6:,.1f} MB"
        click.echo(
            f"{row['table']:<32} {row['rows']:>12,} {row['plates']:>7,} "
            f"{row['data_files']:>6,} {size:>10}"
        )
