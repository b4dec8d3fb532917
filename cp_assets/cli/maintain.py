"""``cp-assets maintain``: fewer files and snapshots, no orphans, and how the tables stand."""

from dataclasses import replace
from typing import Any

import click

from cp_assets.cli.common import config_option, say, warehouse_location, warehouse_option
from cp_assets.datasets.config import read_configuration
from cp_assets.datasets.durations import duration, duration_text
from cp_assets.warehouse.maintenance import TableMaintenance
from cp_assets.warehouse.warehouse import open_warehouse


@click.command(epilog="Example: cp-assets maintain image_crops --older-than 30d --dry-run")
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@click.option(
    "--older-than", metavar="SPAN", help="Expire snapshots superseded for so long; default: 7d."
)
@click.option("--keep", "keep_snapshots", type=int, help="Newest snapshots to keep; default: 5.")
@click.option("--grace", metavar="SPAN", help="Remove orphans unchanged for so long; default: 3d.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@warehouse_option
@config_option
def maintain(
    tables: tuple[str, ...],
    *,
    dry_run: bool,
    warehouse: str | None,
    config: str | None,
    **given: Any,
) -> None:
    """Rewrite small files, merge manifests, expire snapshots and remove orphans of tables.

    All tables by default. Rows are never changed, and plates may be written meanwhile. What a tag
    or a branch names is kept. Defaults are those of `maintenance` in cp_assets.yaml. The grace
    period must be longer than a plate takes to be written: what a running write has made is named
    by no snapshot yet.
    """
    from cp_assets.building.maintaining import maintain_warehouse

    options = replace(read_configuration(config).maintenance, **_only_given(given))
    there = open_warehouse(warehouse_location(warehouse, config))
    say(
        f"{'would expire' if dry_run else 'expiring'} snapshots superseded more than "
        f"{duration_text(options.older_than)} ago and {'remove' if dry_run else 'removing'} "
        f"orphans older than {duration_text(options.grace)}"
    )
    for number, done in enumerate(maintain_warehouse(there, tables, options, dry_run=dry_run)):
        if not number:
            click.echo(_HEADER)
        click.echo(_line(done))
        for plate in done.rewriting.changed_meanwhile:
            say(f"{done.table} {plate}: written by a run meanwhile; its files are left as they are")


def _only_given(given: dict[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in given.items() if value is not None}
    spans = {name: duration(known[name]) for name in ("older_than", "grace") if name in known}
    return known | spans


_HEADER = (
    f"{'table':<32} {'rewritten':>9} {'expired':>7} {'removed':>7} {'size':>11}   "
    f"{'snapshots':>9} {'manifests':>9} {'files':>7} {'small':>6} {'live':>11} {'orphans':>7}"
)


def _line(done: TableMaintenance) -> str:
    """What was done, and how the table stands."""
    health = done.health
    return (
        f"{done.table:<32} {done.rewriting.files_before:>9,} {done.snapshots_expired:>7,} "
        f"{done.files_removed:>7,} {_size(done.bytes_removed):>11}   "
        f"{health.snapshots:>9,} {health.manifests:>9,} {health.data_files:>7,} "
        f"{health.small_files:>6,} {_size(health.live_bytes):>11} {health.orphans:>7,}"
    )


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
