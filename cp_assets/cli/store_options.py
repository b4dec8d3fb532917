"""The options of commands that read object stores; ``stores`` in ``cp_assets.yaml`` says more."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, TypeVar

import click

from cp_assets.stores import StoreOptions, StoreSettings
from cp_assets.stores.connections import SCHEMES

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--anonymous", is_flag=True, help="Read URLs without credentials, as public buckets allow."
    ),
    click.option("--profile", metavar="NAME", help="Profile of your AWS configuration, for s3://."),
    click.option("--region", metavar="NAME", help="Region of the bucket, for s3://."),
    click.option(
        "--endpoint-url", metavar="URL", help="Another server of the same protocol, for URLs."
    ),
)


def store_options(command: _Command) -> _Command:
    """Add the options of object stores to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_store_options(options: dict[str, Any]) -> dict[str, Any]:
    """Take a command's options of object stores out of all of its options; those that are set."""
    names = {one.name for one in fields(StoreOptions)}
    taken = {name: options.pop(name) for name in list(options) if name in names}
    return {name: value for name, value in taken.items() if value}


def with_options(stores: StoreSettings, given: dict[str, Any]) -> StoreSettings:
    """What is configured, with what a command says of all URLs."""
    every = {f"{scheme}://": StoreOptions() for scheme in SCHEMES if given}
    known = {**every, **stores.by_prefix}
    return StoreSettings({url: replace(options, **given) for url, options in known.items()})
