"""Schemas of ``images.image_crops`` and ``images.source_images``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.payloads.types import OME_ARROW_TYPE

if TYPE_CHECKING:
    from collections.abc import Collection


def _field(name: str, kind: pa.DataType, doc: str, *, required: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=not required, metadata={"doc": doc})


def _text(name: str, doc: str, *, required: bool = False) -> pa.Field:
    return _field(name, pa.string(), doc, required=required)


_JOIN_KEYS = (
    _text("dataset_id", "Dataset: one source of one project", required=True),
    _text("batch_id", "Batch that the plate belongs to", required=True),
    _text("plate_id", "Plate", required=True),
    _text("well_id", "Well, normalised: A01 to AF48"),
    _text("site_id", "Site (field of view) of the well"),
    _text("image_id", "Image set: all channels of one site at one time", required=True),
    _text("Metadata_Plate", "Plate, as pycytominer names it; equal to plate_id", required=True),
    _text("Metadata_Well", "Well, as pycytominer names it; equal to well_id"),
    _text("Metadata_Site", "Site, as pycytominer names it; equal to site_id"),
    _field(
        "Metadata_ImageNumber", pa.int64(), "CellProfiler's ImageNumber in its measurement folder"
    ),
)

_SOURCE = (
    _text(
        "Metadata_Channel",
        "Channel: the X of FileName_X, such as OrigDNA; and _ and the channel of a file of several",
        required=True,
    ),
    _text(
        "source_image_column",
        "Column of the profiles that names the file: Image_FileName_<channel>",
    ),
    _text("source_image_file", "File name as the Image table records it"),
    _text(
        "source_image_original_path", "URL, or path and file name, as the Image table records it"
    ),
    _text("source_image_path", "File below the image folder or mapped prefix it was found in"),
    _text(
        "source_mask_path",
        "Mask file below its folder (gallery: below the dataset's root), or null",
    ),
    _text(
        "source_outline_path", "Outline file below its folder (gallery: dataset's root), or null"
    ),
)


def _payloads(what: str) -> tuple[pa.Field, ...]:
    return (
        _field(
            "ome_arrow_image", OME_ARROW_TYPE, f"Pixels of {what}, OME-Arrow, in the file's dtype"
        ),
        _field("ome_arrow_mask", OME_ARROW_TYPE, f"Mask of {what}, OME-Arrow, or null"),
        _field("ome_arrow_outline", OME_ARROW_TYPE, f"Outline of {what}, OME-Arrow, or null"),
        _field("ome_arrow_label", OME_ARROW_TYPE, "The outline where there is one, else the mask"),
        _text("label_source_kind", "What ome_arrow_label is: outline, mask, or null for neither"),
    )


def without_absent_overlays(schema: pa.Schema, kinds: Collection[str]) -> pa.Schema:
    """Leave out the payload columns of overlays that a plate has none of.

    A null payload is 36 columns of Parquet, written and listed in the footer for each row group;
    a column that a file lacks reads as null and costs nothing.

    Parameters
    ----------
    kinds
        The kinds that the plate has: ``mask``, ``outline``.
    """
    there = {*kinds, *(("label",) if kinds else ())}
    absent = {f"ome_arrow_{kind}" for kind in ("mask", "outline", "label") if kind not in there}
    return pa.schema([field for field in schema if field.name not in absent])


CROPS_SCHEMA = pa.schema(
    [
        *_JOIN_KEYS,
        _field(
            "Metadata_ObjectNumber",
            pa.int64(),
            "Number of the object in its image set",
            required=True,
        ),
        _text("Metadata_ObjectID", "Id of the object: image set, number and box", required=True),
        _text(
            "Metadata_ImageID", "Id of the source image: image set, channel, file", required=True
        ),
        _text("Metadata_ImageCropID", "Id of the crop: object and source image", required=True),
        *_SOURCE,
        _field("Metadata_SourceBBoxXMin", pa.int32(), "First column of the crop, pixels"),
        _field("Metadata_SourceBBoxXMax", pa.int32(), "Column after the crop's last, pixels"),
        _field("Metadata_SourceBBoxYMin", pa.int32(), "First row of the crop, pixels"),
        _field("Metadata_SourceBBoxYMax", pa.int32(), "Row after the crop's last, pixels"),
        _field("Metadata_SourceBBoxZMin", pa.int32(), "First plane in Z; null for the whole stack"),
        _field("Metadata_SourceBBoxZMax", pa.int32(), "Plane after the last; null for all"),
        *_payloads("the crop: the object's bounding box in one channel"),
    ]
)
"""One row is one crop: one object in one channel."""

SOURCE_IMAGES_SCHEMA = pa.schema(
    [
        *_JOIN_KEYS,
        _text(
            "Metadata_ImageID", "Id of the source image: image set, channel, file", required=True
        ),
        *_SOURCE,
        *_payloads("the whole image"),
    ]
)
"""One row is one whole source image: one channel of one image set."""
