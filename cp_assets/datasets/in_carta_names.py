"""By which columns IN Carta's CSV export is known, and which say whose an object is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.datasets.csv_text import open_csv
from cp_assets.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cp_assets.stores import Place

_OBJECT = "OBJECT ID"
_NAMES = {
    "label": ("WELL LABEL",),
    "row": ("ROW",),
    "column": ("COLUMN",),
    "site": ("FOV",),
    "plate": ("PLATE ID",),
    "z": ("Z",),
    "t": ("T", "TIMEPOINT"),
}
"""Part of an identity -> names of its column in capital letters."""


def object_column(columns: Iterable[str]) -> str | None:
    """The column of the objects' numbers, or None if there is none."""
    return next((column for column in columns if column.upper() == _OBJECT), None)


def identity_columns(columns: Iterable[str]) -> dict[str, str]:
    """Part of an identity (``label``, ``row``, ..., see `InCartaHeader`) -> its column."""
    capital = {column.upper(): column for column in columns}
    return {
        part: next(capital[one] for one in names if one in capital)
        for part, names in _NAMES.items()
        if any(one in capital for one in names)
    }


def is_in_carta(columns: tuple[str, ...]) -> bool:
    """Whether a header is that of an export of IN Carta: objects, each in a field of a well."""
    places = identity_columns(columns)
    has_well = "label" in places or {"row", "column"} <= places.keys()
    return object_column(columns) is not None and has_well and "site" in places


def in_carta_columns(path: Place) -> tuple[str, ...]:
    """The columns of a CSV file that is an export of IN Carta; none of another file."""
    try:
        with open_csv(path, path.name) as text:
            columns = text.header[0] if text.header else ()
    except MeasurementError:
        return ()
    return columns if is_in_carta(columns) else ()
