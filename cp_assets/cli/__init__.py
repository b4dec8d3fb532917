"""``cp-assets``: the command line, a module for each group of commands."""

import errno
import logging
from typing import Any

import click

import cp_assets
from cp_assets.cli.common import say
from cp_assets.cli.contract import join_profiles, validate_contract
from cp_assets.cli.convert import convert
from cp_assets.cli.demo import demo, sample, ui
from cp_assets.cli.export import export, quality_control
from cp_assets.cli.maintain import maintain
from cp_assets.cli.materialize import materialize
from cp_assets.cli.plates import plates
from cp_assets.cli.reading import describe, read, show, tables
from cp_assets.cli.registering import ingest, publish_chunks, register
from cp_assets.cli.scan import scan, summarize
from cp_assets.cli.sql import sql
from cp_assets.errors import CpAssetsError, one_line
from cp_assets.logs import LogFormat, log_format, set_up_logging
from cp_assets.redaction import redacted

_USER_ERROR = 2


class _Commands(click.Group):
    """Ends a user's mistake with one clear line and exit code 2, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CpAssetsError as error:
            say(f"cp-assets: {redacted(one_line(error))}")
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            say(f"cp-assets: {error.filename or 'a file'}: {error.strerror or error}")
        return ctx.exit(_USER_ERROR)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(cp_assets.__version__)
@click.option("-v", "--verbose", is_flag=True, help="Log every step to standard error.")
@click.option(
    "--log-format",
    "form",
    type=click.Choice(["text", "json"]),
    help="Of the log; default: CP_ASSETS_LOG, else text.",
)
def main(*, verbose: bool, form: LogFormat | None) -> None:
    """Cell Painting prefixes as Apache Iceberg warehouses, plate by plate."""
    set_up_logging(logging.INFO if verbose else logging.WARNING, log_format(form))


for _command in (
    *(
        convert,
        demo,
        describe,
        export,
        ingest,
        join_profiles,
        maintain,
        materialize,
        plates,
        publish_chunks,
        quality_control,
        read,
        register,
        sample,
        scan,
        show,
        sql,
        summarize,
        tables,
        ui,
        validate_contract,
    ),
):
    main.add_command(_command)
