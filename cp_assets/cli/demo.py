"""``cp-assets demo``, ``ui`` and ``sample``: something to look at."""

import os
import sys
from pathlib import Path

import click

from cp_assets.cli.common import config_option, print_tables, say, warehouse_option
from cp_assets.errors import ConfigurationError


@click.command(epilog="Example: cp-assets demo ./demo")
@click.argument("home", type=click.Path(path_type=Path), default=Path("demo"))
@click.option("--plates", default=2, show_default=True)
@click.option("--wells", default=4, show_default=True)
@click.option("--sites", default=2, show_default=True)
@warehouse_option
@config_option
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
    result = run_demo(DemoHome(home), options, report=say)
    print_tables(result.warehouse)
    if result.picture:
        click.echo(f"\ncells with their outlines: {result.picture}")
    click.echo(f"open Dagster on it:        make ui   (or: cp-assets ui --home {home})")
    sys.exit(0 if all(run.succeeded for run in result.runs) else 1)


@click.command(epilog="Example: cp-assets ui --home ./demo")
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
    say(f"Dagster on http://{host}:{port}, Ctrl-C ends it")
    os.execv(sys.executable, [sys.executable, *command])  # noqa: S606 - replaces this process, no shell


@click.command(epilog="Example: cp-assets sample ./sample --plates 2 --wells 6 --sites 4 --seed 1")
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
