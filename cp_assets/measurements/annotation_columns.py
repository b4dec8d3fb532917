"""What the columns of annotation files are called in the joined profiles, and what they hold.

Decided over all files of a dataset, so that two plates agree, whatever values their own plate maps
happen to have. A column is a number only if every file that has it has numbers in it and nothing
else; names and ids are text in any case, and so are numbers that float64 would change, such as
``007``. What another column without any value holds is not known: it is not written, or a later
plate's numbers would be at odds with it. Names that differ in letter case only are one column:
engines could not tell them apart.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING

from cp_assets.datasets.listing import on_each
from cp_assets.datasets.text_tables import TextTable
from cp_assets.errors import MeasurementError
from cp_assets.stores import state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cp_assets.measurements.columns import ColumnKind
    from cp_assets.stores import Place, State

PREFIX = "Metadata_"

PLATE_NAMES = ("plate", "assayplatebarcode", "platebarcode", "platename", "plateid", "barcode")
WELL_NAMES = ("well", "wellposition", "wellid", "wellname")
"""Columns that name a row's plate or well, without ``Metadata_``, ``_``, spaces and letter case;
the first of them that a file has."""

_NUMBER = re.compile(r"\s*[+-]?(?:(?:0|[1-9]\d{0,14})(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?\s*")
"""A number that float64 keeps as it is written: no leading zero, no more digits than it has."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_NAMING = frozenset(
    (
        *("id", "ids", "name", "names", "barcode", "plate", "well", "batch", "source", "sample"),
        *("code", "cid", "cas", "catalog", "lot", "smiles", "inchi", "inchikey", "symbol"),
    )
)
"""Last words of the names of columns that name things, whatever they are spelled with."""


def joined_name(column: str) -> str:
    """The joined profiles' name of an annotation file's column."""
    return column if column.startswith(PREFIX) else f"{PREFIX}{column}"


def key_column(columns: Iterable[str], names: Iterable[str]) -> str | None:
    """The column that names a row's plate (`PLATE_NAMES`) or well (`WELL_NAMES`), or None."""
    spelled = {_bare(column): column for column in reversed([*columns])}
    return next((spelled[name] for name in names if name in spelled), None)


def is_number(text: str) -> bool:
    """Whether a text is a number that float64 keeps."""
    return _NUMBER.fullmatch(text) is not None and isfinite(float(text))


def annotation_columns(
    paths: Iterable[Place], overrides: Mapping[str, str]
) -> dict[str, tuple[str, ColumnKind | None]]:
    """Name and kind of the columns of all annotation files, by their joined name in lower case.

    The kind is None where no value tells it.

    Parameters
    ----------
    paths
        A file that cannot be read decides nothing: it may be of another plate.
    overrides
        Joined name -> ``float``, ``int`` or ``string`` where the rule is wrong.
    """
    names: dict[str, str] = {}
    found: dict[str, set[bool | None]] = {}
    files = list(paths)
    for columns in on_each(_readable_columns, files, files[0]) if files else ():
        for column, numbers in columns:
            name = names.setdefault(joined_name(column).lower(), joined_name(column))
            found.setdefault(name.lower(), set()).add(numbers)
    return {key: (name, _kind(name, found[key], overrides)) for key, name in names.items()}


def _kind(name: str, found: set[bool | None], overrides: Mapping[str, str]) -> ColumnKind | None:
    chosen = overrides.get(name)
    if chosen in ("float", "int", "string"):
        return chosen  # type: ignore[return-value]
    if False in found or _names_things(name):
        return "string"
    return "float" if True in found else None


def _names_things(name: str) -> bool:
    words = _WORDS.findall(name)
    is_key = _bare(name) in (*PLATE_NAMES, *WELL_NAMES)
    return is_key or (bool(words) and words[-1].lower() in _NAMING)


def _bare(name: str) -> str:
    return re.sub(r"[_\s]", "", name.removeprefix(PREFIX)).lower()


def _readable_columns(path: Place) -> tuple[tuple[str, bool | None], ...]:
    try:
        return _columns(path, state_of(path))
    except (MeasurementError, OSError):
        return ()


@lru_cache(maxsize=1024)
def _columns(path: Place, _state: State) -> tuple[tuple[str, bool | None], ...]:
    """Each named column, and whether its values are numbers; None where it has no value."""
    table = TextTable.of(path)
    numbers: list[bool | None] = [None] * len(table.columns)
    for _, row in table.rows():
        for position, value in enumerate(row[: len(numbers)]):
            if value is not None and numbers[position] is not False:
                numbers[position] = is_number(value)
    return tuple((name, kind) for name, kind in zip(table.columns, numbers, strict=True) if name)
