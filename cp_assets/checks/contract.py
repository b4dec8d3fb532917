"""The join contract: which columns link profiles and images, and the names they are known by."""

from collections.abc import Iterable

REQUIRED = ("dataset_id", "image_id")
"""A row without these cannot be joined: they block what is downstream."""

RECOMMENDED = ("plate_id", "well_id", "site_id")
"""A row without these joins, and says less: they warn."""

ALIASES = {
    "dataset_id": ("Metadata_dataset_id", "Metadata_Source", "Metadata_Dataset"),
    "image_id": ("Metadata_ImageID", "Metadata_image_id"),
    "plate_id": ("Metadata_Plate", "Metadata_PlateName", "Metadata_Assay_Plate_Barcode", "Plate"),
    "well_id": ("Metadata_Well", "Metadata_WellID", "Well", "well_position"),
    "site_id": ("Metadata_Site", "Metadata_Field", "Metadata_FOV", "Site", "Field", "FOV"),
}
"""Column of the contract -> the names that the field's tools give it, in order of preference."""


def resolve_columns(columns: Iterable[str]) -> dict[str, str]:
    """Column of the contract -> the table's column that holds it, for those that are there."""
    there = set(columns)
    found = {}
    for name in (*REQUIRED, *RECOMMENDED):
        known = (name, *ALIASES[name])
        match = next((candidate for candidate in known if candidate in there), None)
        if match is not None:
            found[name] = match
    return found
