"""``cp-assets export``: Cytomining warehouse roots; ``quality-control``: tables taken in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cp_assets.cli.common import config_option, open_configured, say, warehouse_option
from cp_assets.cli.store_options import store_options, take_store_options, with_options
from cp_assets.contract.given_aliases import aliases_of
from cp_assets.cytomining.checking import RootReport
from cp_assets.cytomining.root import Exported
from cp_assets.datasets.config import read_configuration
from cp_assets.stores import StoreSettings

_Command = TypeVar("_Command", bound=Callable[..., Any])

_BROKEN = 1

root_option = click.option(
    "--root", required=True, metavar="FOLDER", help="Warehouse root; is made if there is none."
)
mode_option = click.option(
    "--mode",
    type=click.Choice(["append", "replace"]),
    default="append",
    show_default=True,
    help="append: what comes from the same plate or source is replaced, other rows stay. "
    "replace: the tables have these rows and no others.",
)
migration_option = click.option(
    "--migration",
    metavar="REASON",
    help="With --mode replace: why a table comes to mean something else; noted in the manifest.",
)
alias_options = (
    click.option(
        "--aliases", type=click.Path(path_type=Path), help="TOML with [microscopy.aliases]."
    ),
    click.option(
        "--alias", "words", multiple=True, metavar="KEY=COLUMN", help="Column that serves as a key."
    ),
)


def _with_aliases(command: _Command) -> _Command:
    for option in reversed(alias_options):
        command = option(command)
    return command


@click.group(invoke_without_command=True, epilog="Example: cp-assets export --check root")
@click.option("--check", metavar="ROOT", help="Hold a root against the specification.")
@click.option("--json", "as_json", is_flag=True, help="With --check: every clause, as JSON.")
@store_options
@config_option
@click.pass_context
def export(
    ctx: click.Context, /, *, check: str | None, as_json: bool, config: str | None, **given: Any
) -> None:
    """Write Cytomining warehouse roots of Parquet files, or check one.

    A check lists each clause of the Cytomining Warehouse Specification: met, broken, or not
    applicable. A broken MUST is exit code 1; a broken SHOULD is a warning.
    """
    if check is None:
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())
        return
    if ctx.invoked_subcommand is not None:
        msg = f"--check stands alone; leave {ctx.invoked_subcommand} out"
        raise click.UsageError(msg)
    from cp_assets.cytomining.checking import check_root

    report = check_root(check, _stores(config, given))
    click.echo(report.to_json(indent=2) if as_json else _listed(report))
    if not report.is_valid:
        ctx.exit(_BROKEN)


@export.command(
    "warehouse",
    epilog="Example: cp-assets export warehouse --warehouse wh --root root --plate BR00116991",
)
@root_option
@click.option("--tables", "-t", multiple=True, metavar="TABLE", help="Tables; default: all.")
@click.option("--dataset")
@click.option("--batch")
@click.option("--plate")
@mode_option
@migration_option
@warehouse_option
@config_option
def of_warehouse(
    *,
    root: str,
    tables: tuple[str, ...],
    mode: Any,
    migration: str | None,
    warehouse: str | None,
    config: str | None,
    **plates: str | None,
) -> None:
    """Write tables of the Iceberg warehouse into a root, plate by plate.

    Names of tables may be given with commas. profiles.raw_measurements becomes a table for each
    compartment.
    """
    from cp_assets.cytomining.export import Plates
    from cp_assets.cytomining.export import export as export_warehouse

    done = export_warehouse(
        open_configured(warehouse, config),
        root,
        tables=[name.strip() for given in tables for name in given.split(",")],
        plates=Plates(**plates),
        mode=mode,
        migration=migration,
    )
    _print(done)


@export.command(
    "images", epilog="Example: cp-assets export images data/experiment.zarr --root root"
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@root_option
@click.option("--dataset-id", help="Default: each path's name, without its ending.")
@click.option("--plate-id", help="Default: each path's name, without its ending.")
@click.option("--profiles", metavar="FILE", help="Joined to its images: joined_profiles.")
@click.option("--profile-dataset-id", help="Of all profiles, where they have no such column.")
@_with_aliases
@click.option("--skip-chunks", is_flag=True, help="Write no chunk_index.")
@mode_option
@store_options
@config_option
def of_images(  # noqa: PLR0913 - one option each
    paths: tuple[str, ...],
    *,
    root: str,
    skip_chunks: bool,
    aliases: Path | None,
    words: tuple[str, ...],
    mode: Any,
    config: str | None,
    **given: Any,
) -> None:
    """Write what image stores hold into a root, from their headers: image_assets, chunk_index.

    With --profiles also profiles.joined_profiles: each row of the table with its image.
    """
    from cp_assets.cytomining.image_stores import ImageOptions, export_images

    stores = _stores(config, given)
    options = ImageOptions(**given, chunks=not skip_chunks, aliases=aliases_of(aliases, words))
    _print(export_images(paths, root, options, mode=mode, stores=stores))


@export.command(
    "profiles",
    epilog="Example: cp-assets export profiles normalized.parquet --root root "
    "--table-name pycytominer_profiles",
)
@click.argument("file")
@root_option
@click.option(
    "--table-name", default="profiles", show_default=True, help="With or without its namespace."
)
@click.option("--role", default="profiles", show_default=True, help="profiles, embeddings, ...")
@click.option("--profile-level", help="object, image, ...; default: as its columns of ids tell.")
@click.option("--compartment", help="Where all rows are of one.")
@click.option("--grain", help="What one row is.")
@click.option("--join-key", "join_keys", multiple=True, metavar="COLUMN")
@click.option(
    *("--dataset-id", "--profile-dataset-id", "dataset_id"),
    help="Of all rows, for a table without such a column.",
)
@_with_aliases
@mode_option
@migration_option
def of_profiles(
    file: str,
    *,
    root: str,
    aliases: Path | None,
    words: tuple[str, ...],
    mode: Any,
    migration: str | None,
    **said: Any,
) -> None:
    """Write a table of your own into a root: profiles, embeddings, quality control.

    Parquet, a folder of Parquet files, or CSV. Keys of the join contract that it has under other
    names are added under the contract's.
    """
    from cp_assets.cytomining.own_tables import TableOptions, export_table

    options = TableOptions(**said, aliases=aliases_of(aliases, words))
    _print(export_table(file, root, options, mode=mode, migration=migration))


@click.command(
    "quality-control",
    epilog="Example: cp-assets quality-control cosmicqc.parquet --table-name cosmicqc "
    "--warehouse wh",
)
@click.argument("file")
@click.option("--table-name", required=True, help="Becomes quality_control.<name>.")
@click.option("--dataset-id", help="Of all rows; default: its column, else the warehouse's plate.")
@click.option("--batch-id", help="Of all rows; default: its column, else the warehouse's plate.")
@click.option("--plate-id", help="Of all rows; default: its column.")
@_with_aliases
@warehouse_option
@config_option
def quality_control(
    file: str,
    *,
    table_name: str,
    aliases: Path | None,
    words: tuple[str, ...],
    warehouse: str | None,
    config: str | None,
    **plates: Any,
) -> None:
    """Take a quality-control table, such as coSMicQC's, into the Iceberg warehouse.

    Each of its plates is replaced in one commit. `export warehouse` writes it into roots.
    """
    from cp_assets.cytomining.quality_control import PlateNames, take_in_quality_control

    opened = open_configured(warehouse, config)
    names = PlateNames(**plates)
    given = aliases_of(aliases, words)
    for write in take_in_quality_control(file, opened, table_name, names, given):
        click.echo(f"{write.table}: {write.rows:,} rows, snapshot {write.snapshot_id}")


def _stores(config: str | None, given: dict[str, Any]) -> StoreSettings:
    return with_options(read_configuration(config).stores, take_store_options(given))


def _print(done: Exported) -> None:
    for warning in done.warnings:
        say(f"warning: {warning}")
    if done.left_out:
        say(f"left out, being no tables of cp_assets: {', '.join(done.left_out)}")
    click.echo(json.dumps(done.to_dict(), indent=2, sort_keys=True))


def _listed(report: RootReport) -> str:
    """A line for each clause, with what breaks it below."""
    lines = [f"{report.warehouse_root}: specification {report.version or 'of no version'}"]
    section = None
    for one in report.results:
        if one.clause.section != section:
            section = one.clause.section
            lines += ["", section]
        why = f" ({one.reason})" if one.reason else ""
        clause = f"{one.clause.number:<4} {one.clause.word:<8} {one.clause.text}{why}"
        lines.append(f"  {one.outcome:<14}  {clause}")
        lines += [f"  {'':<14}  - {finding}" for finding in one.findings]
    verdict = "conforms" if report.is_valid else "does not conform"
    counts = f"{len(report.errors)} errors, {len(report.warnings)} warnings"
    return "\n".join((*lines, "", f"{verdict}: {counts}"))
