"""The columns of the join contract, and the names that tables have for them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cp_assets.errors import ConfigurationError, MeasurementError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

REQUIRED = ("dataset_id", "image_id")
"""A row without these cannot be joined: they block what is downstream."""

RECOMMENDED = ("plate_id", "well_id", "site_id")
"""A row without these joins, and says less: they warn."""

CONTRACT = (*REQUIRED, *RECOMMENDED)

_SHOWN = 12

ROW_NAMES = ("crop_id", "object_id", "object_number")
"""What tells the rows of one image apart; no part of the contract, see `row_key`."""

BUILT_IN: dict[str, tuple[str, ...]] = {
    "dataset_id": (
        *("Metadata_dataset_id", "Metadata_DatasetID", "Metadata_DatasetId", "Metadata_dataset"),
        *("Metadata_Source", "Metadata_source", "Metadata_Dataset"),
    ),
    "image_id": ("Metadata_image_id", "Metadata_ImageID", "Metadata_ImageId", "Metadata_image"),
    "plate_id": (
        *("Metadata_Plate", "Image_Metadata_Plate", "Metadata_plate"),
        *("Metadata_PlateName", "Metadata_Assay_Plate_Barcode", "Plate"),
    ),
    "well_id": (
        *("Metadata_Well", "Image_Metadata_Well", "Metadata_well"),
        *("Metadata_WellID", "Well", "well_position"),
    ),
    "site_id": (
        *("Metadata_Site", "Image_Metadata_Site", "Metadata_SiteNumber", "Metadata_Field"),
        *("Metadata_FOV", "Metadata_site", "Site", "Field", "FOV"),
    ),
    "crop_id": ("Metadata_ImageCropID",),
    "object_id": ("Metadata_ObjectID", "Metadata_object_id"),
    "object_number": (
        *("Metadata_ObjectNumber", "ObjectNumber", "Metadata_Cells_Number_Object_Number"),
        *("Cells_Number_Object_Number", "Cells_ObjectNumber", "Number_Object_Number"),
        *("Metadata_Nuclei_Number_Object_Number", "Nuclei_Number_Object_Number"),
        "Nuclei_ObjectNumber",
    ),
}
"""Name of the contract -> the names that the field's tools give it, in order of preference.

The first are those of iceberg-bioimage in its order, so that a table is read as that reads it.
"""

BATCH_NAMES = ("batch_id", "Metadata_Batch", "Metadata_batch")
"""What names the batch of a plate; no part of the contract."""

KEY_NAMES = frozenset([*BUILT_IN, *(one for names in BUILT_IN.values() for one in names)])
"""Columns that are keys by their names alone."""


@dataclass(frozen=True)
class Aliases:
    """Which column of a table serves for each name of the contract.

    The more narrowly something was said, the more it counts. Of the columns that a table has, the
    first of these is taken: what was given for this run (the command line), what a file says, the
    name of the contract itself, the names that are built in.

    Parameters
    ----------
    given, of_file
        Name of the contract, or one of `ROW_NAMES` -> columns, in order of preference.

    Raises
    ------
    ConfigurationError
        If a name is none of the contract.
    """

    given: Mapping[str, Sequence[str]] = field(default_factory=dict)
    of_file: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (*self.given, *self.of_file):
            if name not in BUILT_IN:
                msg = (
                    f"alias of {name}: the join contract has no such name; expected one of "
                    f"{', '.join(BUILT_IN)}"
                )
                raise ConfigurationError(msg)

    def resolve(self, columns: Iterable[str]) -> dict[str, str]:
        """Name of the contract, or one of `ROW_NAMES` -> the table's column, where it has one.

        Raises
        ------
        ConfigurationError
            If it has none of the columns that were given for a name.
        """
        there = dict.fromkeys(columns)
        for name, given in self.given.items():
            if given and there.keys().isdisjoint(given):
                msg = (
                    f"alias {name}={given[0]}: the table has no column {' or '.join(given)}; it "
                    f"has {', '.join(list(there)[:_SHOWN])}{', ...' if len(there) > _SHOWN else ''}"
                )
                raise ConfigurationError(msg)
        first = {
            name: next((one for one in self._candidates(name) if one in there), None)
            for name in BUILT_IN
        }
        return {name: column for name, column in first.items() if column is not None}

    @property
    def columns(self) -> frozenset[str]:
        """Columns that were given, or that the file says."""
        said = (*self.given.values(), *self.of_file.values())
        return frozenset(column for columns in said for column in columns)

    def _candidates(self, name: str) -> tuple[str, ...]:
        return (*self.given.get(name, ()), *self.of_file.get(name, ()), name, *BUILT_IN[name])


NO_ALIASES = Aliases()
"""Only the names that are built in."""


def check_distinct(table: object, columns: Iterable[str]) -> None:
    """Refuse a table that has a column twice; ``table`` is as the message names it.

    Raises
    ------
    MeasurementError
        If it has.
    """
    repeated = [name for name, times in Counter(columns).items() if times > 1]
    if repeated:
        msg = f"{table} has the column {repeated[0]!r} twice; expected each column once"
        raise MeasurementError(msg)


def row_key(found: Mapping[str, str], columns: Iterable[str]) -> tuple[str, tuple[str, ...]] | None:
    """What one row of a table is, and the columns that together name it.

    A crop by its id, an object by its id, else by dataset, image (and compartment) and its number;
    a table without any of these has one row an image, or one row a source image of it.

    Parameters
    ----------
    found
        What `Aliases.resolve` gave.

    Returns
    -------
    ``crop``, ``object`` or ``image``, and columns; None where no column names the image.
    """
    for level in ("crop", "object"):
        if f"{level}_id" in found:
            return level, (found[f"{level}_id"],)
    if "image_id" not in found:
        return None
    there = set(columns)
    image = tuple(found[name] for name in REQUIRED if name in found)
    if "object_number" in found:
        compartment = ("compartment",) if "compartment" in there else ()
        return "object", (*image, *compartment, found["object_number"])
    source = tuple({"Metadata_ImageID"} & there - set(image))
    return "image", (*image, *source)
