"""Types come from names, not from guessing.

CellProfiler's names say what a column holds, so two plates always agree on its type, whatever
values they happen to have, and typed parsing is several times faster. Keys and counts are 64-bit
integers, names and paths text, everything else a 64-bit float. Metadata is always text: plates such
as ``1053597806`` are names, not numbers.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from cp_assets.datasets.presets import KEYS
from cp_assets.warehouse.spec import KEY_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

ColumnKind = Literal["float", "int", "string"]

IMAGE_SET_KEYS = ("TableNumber", "ImageNumber")
"""What tells image sets of a folder apart. Only merged tables have a TableNumber: the ImageNumber
restarts with each of the tables that were merged."""

TABLE_NUMBER = IMAGE_SET_KEYS[0]
"""The only key that may be a name: see `cp_assets.measurements.numbers_of_text`."""

SOURCE_ROW = "source_row"
"""Column that is added to a file's own: row in the file, counted from 1 without the header."""

ORDER = "__order"
"""Column of keyed rows: place of the row's image set in its folder."""

ADDED = frozenset(
    {
        *(field.name for field in KEY_COLUMNS),
        *("compartment", "source_folder", "source_file", SOURCE_ROW, ORDER),
    }
)
"""Columns that are added to a file's own. A measured column of such a name is left out."""

_OBJECT_KEYS = frozenset({*KEYS, "TableNumber", "Number_Object_Number"})
_INTEGER = re.compile(
    r"(?:ImageNumber|ObjectNumber|TableNumber|Number_Object_Number|Parent_.+|Children_.+_Count|Count_.+"
    r"|Group_(?:Index|Number|Length)|Height_.+|Width_.+|Series_.+|Frame_.+|Channel_.+|ModuleError_.+)"
)
_TEXT = re.compile(
    r"(?:Metadata_|FileName_|PathName_|URL_|MD5Digest_|ImageSet_|Objects(?:FileName|PathName|URL)_|Path_)"
)
ARROW_TYPES: dict[str, pa.DataType] = {
    "float": pa.float64(),
    "int": pa.int64(),
    "string": pa.string(),
}
"""Kind of a column -> its Arrow type."""


def column_kind(name: str, overrides: Mapping[str, str] | None = None) -> ColumnKind:
    """What a column of a CellProfiler table holds, by its name.

    Parameters
    ----------
    overrides
        Column -> ``float``, ``int`` or ``string`` where the rule is wrong.
    """
    chosen = (overrides or {}).get(name)
    if chosen in ("float", "int", "string"):
        return chosen  # type: ignore[return-value]
    return _kind_by_name(name)


@lru_cache(maxsize=2**16)
def _kind_by_name(name: str) -> ColumnKind:
    """Asked for each of thousands of columns in each of thousands of files."""
    if _INTEGER.fullmatch(name):
        return "int"
    return "string" if _TEXT.match(name) else "float"


def is_key_or_parent(name: str) -> bool:
    """Whether an object's column says who it is rather than what was measured.

    pycytominer takes every column that begins with a compartment's name as a feature; these get the
    prefix ``Metadata_`` instead.
    """
    return name in _OBJECT_KEYS or name.startswith("Parent_")
