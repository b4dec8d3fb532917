"""What the tables of a root are for: the vocabulary of roles, and the declarations of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.cytomining.names import TableName, segment_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

STANDARD_ROLES = ("profiles", "image_assets", "chunk_index", "joined_profiles", "quality_control")
OPTIONAL_ROLES = ("image_crops", "source_images", "embeddings", "annotations", "reports")

OWN_ROLES: Mapping[str, str] = {
    "profile_with_images": "ids that link a profile to the crops of its object; joined to "
    "profiles.joined_profiles and images.image_crops it is the view of both",
    "provenance": "what was committed of each table and plate, with digests, and what it came from",
}
"""Roles of this project -> what they mean; the manifest repeats those that it uses."""

PROFILE_ROLES = ("profiles", "joined_profiles")

_IMAGE_KEYS = ("dataset_id", "image_id")
_OBJECT_ID = "Metadata_ObjectID"
_IMAGE = "Image"

Derive = Callable[[pa.RecordBatch], pa.RecordBatch]


@dataclass(frozen=True)
class Declaration:
    """What the manifest says of a table, apart from its rows.

    Attributes
    ----------
    join_keys
        Columns by which it joins the images, or what else it is about.
    grain
        What one row is.
    profile_level
        ``image``, ``object``, ... of a table of profiles.
    compartment
        Where all rows are of one.
    object_keys
        Columns that together name the object within an image set; none for tables of images.
    """

    name: TableName
    role: str
    join_keys: tuple[str, ...] = ()
    grain: str | None = None
    profile_level: str | None = None
    compartment: str | None = None
    object_keys: tuple[str, ...] = ()

    def meaning(self) -> dict[str, object]:
        """What an append must not change."""
        return {
            "role": self.role,
            "profile_level": self.profile_level,
            "compartment": self.compartment,
            "grain": self.grain,
            "join_keys": self.join_keys,
        }


def _images(table: str, role: str, keys: tuple[str, ...], grain: str) -> Declaration:
    return Declaration(TableName("images", table), role, keys, grain)


_KNOWN = (
    _images("image_assets", "image_assets", _IMAGE_KEYS, "image array"),
    _images("chunk_index", "chunk_index", (*_IMAGE_KEYS, "array_path"), "chunk of an image array"),
    _images("image_crops", "image_crops", (*_IMAGE_KEYS, _OBJECT_ID), "crop of an object"),
    _images("source_images", "source_images", _IMAGE_KEYS, "source image"),
    Declaration(
        TableName("profiles", "joined_profiles"),
        role="joined_profiles",
        join_keys=_IMAGE_KEYS,
        grain="object, its compartments side by side",
        profile_level="object",
        object_keys=(_OBJECT_ID,),
    ),
    Declaration(
        TableName("profiles", "profile_with_images"),
        role="profile_with_images",
        join_keys=(*_IMAGE_KEYS, _OBJECT_ID, "Metadata_ImageCropID"),
        grain="crop of an object",
        object_keys=(_OBJECT_ID,),
    ),
    Declaration(
        TableName("quality_control", "rejected_rows"),
        role="quality_control",
        join_keys=("dataset_id", "batch_id", "plate_id"),
        grain="input that could not be used",
    ),
    Declaration(
        TableName("provenance", "manifest"),
        role="provenance",
        join_keys=("dataset_id", "batch_id", "plate_id"),
        grain="table of a plate",
    ),
)

KNOWN: Mapping[str, Declaration] = {str(one.name): one for one in _KNOWN}
"""``namespace.table`` -> declaration of the tables whose rows a root has as the warehouse has."""


def of_compartment(compartment: str) -> Declaration:
    """The table of one compartment's raw measurements.

    The specification asks for a table for each kind of object, where the warehouse has one table
    for all.
    """
    is_image = compartment == _IMAGE
    return Declaration(
        TableName("profiles", f"{segment_of(compartment)}_measurements"),
        role="profiles",
        join_keys=_IMAGE_KEYS,
        grain="image set, as measured" if is_image else "object of a compartment, as measured",
        profile_level="image" if is_image else "object",
        compartment=None if is_image else segment_of(compartment),
        object_keys=() if is_image else ("image_id", "ObjectNumber"),
    )


def of_quality_control(name: TableName, columns: Collection[str]) -> Declaration:
    """A table of flags or scores, as far as its columns tell what they are of."""
    keys = tuple(key for key in ("dataset_id", "image_id", _OBJECT_ID) if key in columns)
    return Declaration(name, "quality_control", keys, "quality control of profiles")


def with_rejected_flag(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rejected rows with a boolean to filter by, which the specification asks quality control for.

    False is of what is in its table, incomplete.
    """
    return batch.append_column("is_rejected", pc.equal(batch["outcome"], "rejected"))


DERIVED: Mapping[str, tuple[pa.Field, Derive]] = {
    "quality_control.rejected_rows": (pa.field("is_rejected", pa.bool_()), with_rejected_flag)
}
"""Table -> a column that a root's rows have beyond the warehouse's, and how it is made."""
