"""``cp-assets tables``, ``describe``, ``read`` and ``show``: what a warehouse holds."""

import sys
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from cp_assets.building.rejected import REJECTED_ROWS
from cp_assets.cli.common import (
    config_option,
    open_configured,
    print_tables,
    say,
    warehouse_option,
)
from cp_assets.datasets import PlateKey
from cp_assets.datasets.identity import normalise_site, normalise_well
from cp_assets.errors import ConfigurationError, PlateNotFoundError
from cp_assets.warehouse.warehouse import Warehouse


@click.command(epilog="Example: cp-assets tables --warehouse wh")
@warehouse_option
@config_option
def tables(warehouse: str | None, config: str | None) -> None:
    """Name the warehouse's tables."""
    for name in open_configured(warehouse, config).list_tables():
        click.echo(name)


@click.command(epilog="Example: cp-assets describe --warehouse wh")
@warehouse_option
@config_option
def describe(warehouse: str | None, config: str | None) -> None:
    """Show each table's rows, files, bytes, plates and snapshot."""
    print_tables(open_configured(warehouse, config))


@click.command(
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
@warehouse_option
@config_option
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
    opened = open_configured(warehouse, config)
    _check_plate(opened, table, selection["plate"])
    if not _write_rows(opened.scan(table, columns=chosen, **selection), out):
        say(_no_rows(opened.qualify(table), selection))


@click.command(
    epilog="Example: cp-assets show --warehouse wh --plate BR00116991 --well A01 --out cells.png"
)
@click.option("--plate", help="Plate name or partition key; default: the first plate with crops.")
@click.option("--well")
@click.option("--site")
@click.option("--cells", default=48, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("cells.png"), show_default=True
)
@warehouse_option
@config_option
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

    opened = open_configured(warehouse, config)
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
        say("columns of pixels and of lists are left out of CSV; --out rows.parquet keeps them")
    header = pa.schema([rows.schema.field(name) for name in flat])
    count = 0
    with pacsv.CSVWriter(stream, header) as writer:
        for batch in rows:
            writer.write_batch(batch.select(flat))
            count += batch.num_rows
    return count
