"""Aliases as a user gives them: in a TOML file, or as words of a command line.

The file is that of iceberg-bioimage::

    [microscopy.aliases]
    dataset_id = ["ProjectID"]
    image_id = ["ImageKey"]
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cp_assets.contract.names import Aliases
from cp_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_EXPECTED = '[microscopy.aliases] with lines such as image_id = ["ImageKey"]'


def aliases_of(file: Path | None, words: Sequence[str]) -> Aliases:
    """What a file and a command line say; see `Aliases` for which counts more.

    Raises
    ------
    ConfigurationError
        If the file cannot be used, a word is none, or a name is none of the contract.
    """
    of_file = read_aliases(file) if file is not None else {}
    try:
        Aliases(of_file=of_file)
    except ConfigurationError as error:
        msg = f"{file}: {error}"
        raise ConfigurationError(msg) from error
    return Aliases(given=_of_words(words), of_file=of_file)


def read_aliases(file: Path) -> dict[str, tuple[str, ...]]:
    """Name of the contract -> columns, as a TOML file has them.

    Raises
    ------
    ConfigurationError
        If it cannot be read, is no TOML, or has no aliases.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"aliases {file} cannot be read ({error.strerror or error})"
        raise ConfigurationError(msg) from error
    except ValueError as error:
        msg = f"aliases {file}: no TOML in UTF-8 ({error}); expected {_EXPECTED}"
        raise ConfigurationError(msg) from error
    section = content.get("microscopy")
    aliases = section.get("aliases") if isinstance(section, Mapping) else None
    if not isinstance(aliases, Mapping):
        msg = f"aliases {file}: expected {_EXPECTED}"
        raise ConfigurationError(msg)
    return {name: _columns(file, name, value) for name, value in aliases.items()}


def _columns(file: Path, name: str, value: object) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        msg = f"aliases {file}: {name} is {value!r}; expected {_EXPECTED}"
        raise ConfigurationError(msg)
    return tuple(listed)


def _of_words(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """``image_id=ImageKey``, several of one name in order of preference."""
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        name, mark, column = word.partition("=")
        if not (name and mark and column):
            msg = f"alias {word!r}: expected a name and a column, such as image_id=ImageKey"
            raise ConfigurationError(msg)
        found[name] = (*found.get(name, ()), column)
    return found
