"""Images: reading image files, finding masks and outlines, cutting crops.

The room takes rows of the Image table and of the joined profiles and gives batches of
``images.image_crops`` and ``images.source_images``. It knows nothing of tables, catalogs or
Dagster.
"""

from __future__ import annotations

from cp_assets.images.contact_sheet import SheetOptions, contact_sheet, contact_sheet_png
from cp_assets.images.crops import CropBooks, image_crops
from cp_assets.images.image_sets import ChannelFile, ImageSet, file_columns, image_sets
from cp_assets.images.objects import OBJECT_COLUMNS
from cp_assets.images.readers import ImageHeader, ImageReader, Region, open_image
from cp_assets.images.schemas import CROPS_SCHEMA, SOURCE_IMAGES_SCHEMA
from cp_assets.images.source_images import source_images
from cp_assets.images.tables import IMAGE_CROPS, SOURCE_IMAGES

__all__ = [
    "CROPS_SCHEMA",
    "IMAGE_CROPS",
    "OBJECT_COLUMNS",
    "SOURCE_IMAGES",
    "SOURCE_IMAGES_SCHEMA",
    "ChannelFile",
    "CropBooks",
    "ImageHeader",
    "ImageReader",
    "ImageSet",
    "Region",
    "SheetOptions",
    "contact_sheet",
    "contact_sheet_png",
    "file_columns",
    "image_crops",
    "image_sets",
    "open_image",
    "source_images",
]
