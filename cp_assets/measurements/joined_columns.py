"""The columns of ``profiles.joined_profiles``: their names, and what they come from."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.measurements.columns import ADDED, IMAGE_SET_KEYS, is_key_or_parent
from cp_assets.measurements.plan import IMAGE
from cp_assets.warehouse.spec import CYTOMINING_COLUMNS, KEY_COLUMNS, TableSpec, column

if TYPE_CHECKING:
    from collections.abc import Collection

BOX_COLUMNS = {
    "x_min": "Metadata_SourceBBoxXMin",
    "x_max": "Metadata_SourceBBoxXMax",
    "y_min": "Metadata_SourceBBoxYMin",
    "y_max": "Metadata_SourceBBoxYMax",
    "z_min": "Metadata_SourceBBoxZMin",
    "z_max": "Metadata_SourceBBoxZMax",
}
"""Edge -> column of the resolved box, in pixels, half-open: minimum <= pixel < maximum."""

JOINED_PROFILES = TableSpec(
    name="profiles.joined_profiles",
    doc="one cell: its compartments side by side, prefixed",
    schema=pa.schema(
        [
            *KEY_COLUMNS,
            *CYTOMINING_COLUMNS,
            column(
                "Metadata_ObjectNumber", pa.int64(), "number of the anchor object", required=True
            ),
            column(
                "Metadata_ObjectID", pa.string(), "UUIDv5 of image set, number, box", required=True
            ),
            column(
                "Metadata_SourceBBoxXMin", pa.float64(), "left edge of the box, px, as measured"
            ),
            column("Metadata_SourceBBoxXMax", pa.float64(), "right edge of the box, px, exclusive"),
            column(
                "Metadata_SourceBBoxYMin", pa.float64(), "upper edge of the box, px, as measured"
            ),
            column("Metadata_SourceBBoxYMax", pa.float64(), "lower edge of the box, px, exclusive"),
            column("Metadata_SourceBBoxZMin", pa.float64(), "first plane; null without a depth"),
            column("Metadata_SourceBBoxZMax", pa.float64(), "last plane, exclusive; or null"),
            column("Metadata_SourceFolder", pa.string(), "measurement folder, below the root"),
        ]
    ),
    open_columns=True,
    code_version="2",
    # Measured values shrink by 2 % less than with zstd and are written three times as fast.
    codec="snappy",
    # Of a few hundred rows of 6,000 columns the chunks would take more time than the values.
    row_group_bytes=64 * 2**20,
)

_RAW_KEYS = ADDED | {*IMAGE_SET_KEYS}


def joined_name(compartment: str, name: str) -> str:
    """The joined profiles' name of a compartment's column.

    ``AreaShape_Area`` of Cells is ``Cells_AreaShape_Area``; keys and parents are
    ``Metadata_Cells_ObjectNumber``, so that pycytominer takes them for no feature.
    """
    if compartment != IMAGE and is_key_or_parent(name):
        return f"Metadata_{compartment}_{name}"
    return f"{compartment}_{name}"


RAW_COLUMN_OF = {
    **{field.name: field.name for field in KEY_COLUMNS},
    "Metadata_Plate": "plate_id",
    "Metadata_Well": "well_id",
    "Metadata_Site": "site_id",
    "Metadata_ImageNumber": "ImageNumber",
    "Metadata_TableNumber": "TableNumber",
    "Metadata_ObjectNumber": "ObjectNumber",
    "Metadata_SourceFolder": "source_folder",
}
"""Column of the joined profiles -> the anchor's raw column that it is."""


def raw_columns_of(names: Collection[str]) -> dict[str, str]:
    """The raw measurements' column behind each column of the joined profiles.

    Computed columns are left out, and those of annotation files, of which only the keys and parents
    of an object could have the names. The joined compartments are told by their key columns, so a
    compartment's name may hold ``_``.
    """
    keys = [
        name for name in names if name.startswith("Metadata_") and name.endswith("_ObjectNumber")
    ]
    compartments = [name.removeprefix("Metadata_").removesuffix("_ObjectNumber") for name in keys]
    prefixes = sorted((*compartments, IMAGE), key=len, reverse=True)
    found = {name: RAW_COLUMN_OF[name] for name in names if name in RAW_COLUMN_OF}
    for name in names:
        bare = name.removeprefix("Metadata_")
        prefix = next((p for p in prefixes if bare.startswith(f"{p}_")), None)
        if prefix is not None and joined_name(prefix, source := bare[len(prefix) + 1 :]) == name:
            found[name] = source
    return found


@lru_cache(maxsize=64)
def measured_columns(compartment: str, names: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    """The columns of a compartment's raw rows that stand under its own name: place, joined name."""
    return tuple(
        (place, joined_name(compartment, name))
        for place, name in enumerate(names)
        if name not in _RAW_KEYS and not (compartment == IMAGE and name == "ObjectNumber")
    )
