"""What the columns of IN Carta's CSV export are, by their names."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cp_assets.datasets.in_carta_names import identity_columns, is_in_carta, object_column
from cp_assets.datasets.presets import KEYS
from cp_assets.errors import MeasurementError
from cp_assets.measurements.columns import ADDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cp_assets.measurements.columns import ColumnKind

IDENTITY = ("Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Z", "Metadata_T")
"""Who an image set is, all text: plate, well, field of view, plane and time point."""

_GIVEN = frozenset({*ADDED, *KEYS, *IDENTITY})
"""Columns that every object or image set is given beside the file's own."""

_TEXT = {"CLASS NAME", "CLASS COLOR", "ANCESTRY PATH", "SLICE ALGORITHM", "SLICE INDICATOR"}
_MEASURED = re.compile(r".+ wv\d+")
_EXTENT = re.compile(r"(.+?) (?:Total )?(?:Area|Max width) wv\d+")


@dataclass(frozen=True)
class InCartaHeader:
    """The header of an export.

    Attributes
    ----------
    columns
        All columns of the file.
    object_id
        The column of the objects' numbers.
    places
        Part of an identity (``label``, ``row``, ``column``, ``site``, ``plate``, ``z``, ``t``) ->
        its column, of those that the file has.
    kinds
        Column -> what it holds, where its name says so; identities are text.
    compartments
        How the names of measurements begin, such as ``Primary Target``.
    """

    columns: tuple[str, ...]
    object_id: str
    places: Mapping[str, str]
    kinds: Mapping[str, ColumnKind]
    compartments: tuple[str, ...]

    @property
    def taken(self) -> tuple[str, ...]:
        """Columns whose names are those of columns that are added."""
        return tuple(column for column in self.columns if column in _GIVEN)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Columns whose values must say what they hold."""
        known = {*self.kinds, *self.taken}
        return tuple(column for column in self.columns if column not in known)

    def compartment_of(self, column: str) -> str | None:
        """The compartment that a column measures, or None if it measures none."""
        return _compartment_of(self.compartments, column)

    @classmethod
    def of(cls, columns: tuple[str, ...], name: str, overrides: Mapping[str, str]) -> InCartaHeader:
        """Read a header.

        Parameters
        ----------
        name
            The file as errors name it.
        overrides
            Column -> ``float``, ``int`` or ``string`` where the rule is wrong; not for identities.

        Raises
        ------
        MeasurementError
            If ``OBJECT ID``, ``FOV`` or the well are missing, or a column is there twice.
        """
        if len(set(columns)) < len(columns):
            repeated = next(column for column in columns if columns.count(column) > 1)
            msg = f"{name} has the column {repeated!r} more than once; expected each column once"
            raise MeasurementError(msg)
        object_id, places = object_column(columns), identity_columns(columns)
        if object_id is None or not is_in_carta(columns):
            msg = (
                f"{name} is no export of IN Carta: expected the columns OBJECT ID, FOV, and WELL "
                "LABEL or Row and Column"
            )
            raise MeasurementError(msg)
        extents = (_EXTENT.fullmatch(column) for column in columns)
        # Every compartment has an area or a box.
        compartments = tuple(dict.fromkeys(one[1] for one in extents if one))
        header = cls(columns, object_id, places, {}, compartments)
        taken = {*header.taken}
        found = {c: header._kind(c, overrides) for c in columns if c not in taken}
        return replace(header, kinds={column: kind for column, kind in found.items() if kind})

    def _kind(self, column: str, overrides: Mapping[str, str]) -> ColumnKind | None:
        chosen = overrides.get(column)
        if column == self.object_id:
            return "int"
        if column in self.places.values():
            return "string"
        if chosen in ("float", "int", "string"):
            return chosen  # type: ignore[return-value]
        if column.upper() in _TEXT:
            return "string"
        is_measured = _MEASURED.fullmatch(column) or self.compartment_of(column)
        return "float" if is_measured else None


def _compartment_of(compartments: tuple[str, ...], column: str) -> str | None:
    of_it = [one for one in compartments if column.startswith(f"{one} ")]
    return max(of_it, key=len, default=None)
