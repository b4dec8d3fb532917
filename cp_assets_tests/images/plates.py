"""Plates to test on: a small synthetic one, and what turns rows into crops."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tifffile

from cp_assets.datasets.identity import PlateKey
from cp_assets.datasets.ids import image_set_id, object_id
from cp_assets.datasets.model import Dataset, ImageOptions, PlateSources
from cp_assets.images import CROPS_SCHEMA, ChannelFile, CropBooks, ImageSet, image_crops
from cp_assets.images.objects import BOX_COLUMNS
from cp_assets.images.readers import Region
from cp_assets.rejections import RejectionLog

Box = Sequence[float | None]
KEY = PlateKey("dataset", "batch1", "PlateA")
SHAPE = (40, 50)
GOOD = (3.0, 2.0, 13.0, 9.0)
"""A box inside the images."""

Reads = list[tuple[str, Region]]
"""What was read of which file."""


@dataclass
class Plate:
    """A plate of synthetic images: one site, channels DNA and ER, uint16 of 40 x 50 pixels."""

    root: Path
    sources: PlateSources
    sets: list[ImageSet]
    images: dict[str, npt.NDArray[Any]]

    def with_options(self, **options: Any) -> PlateSources:
        """The plate with other image options."""
        images = dataclasses.replace(self.sources.dataset.images, **options)
        dataset = dataclasses.replace(self.sources.dataset, images=images)
        return dataclasses.replace(self.sources, dataset=dataset)


@dataclass
class Cropped:
    """What cropping gave."""

    table: pa.Table
    log: RejectionLog
    books: CropBooks
    batches: list[pa.RecordBatch]

    @property
    def reasons(self) -> Mapping[str, int]:
        return self.log.by_reason()


def make_set(well: str, site: str, folder: str = "", **changes: Any) -> ImageSet:
    """An image set of DNA and ER whose files are named by well and site."""
    channels = tuple(
        ChannelFile(name, f"{well}_s{site}_{name}.tif", "/acquired/PlateA")
        for name in ("DNA", "ER")
    )
    image_set = ImageSet(image_set_id(KEY, well, site, None), well, site, 1, folder, channels)
    return dataclasses.replace(image_set, **changes)


def profile_rows(image_set: ImageSet, boxes: Sequence[Box]) -> pa.RecordBatch:
    """Joined profiles of one image set, one object for each box.

    A box is x_min, y_min, x_max, y_max and, where it has a depth, z_min, z_max.
    """
    rows = [
        {
            "dataset_id": KEY.dataset_id,
            "batch_id": KEY.batch_id,
            "plate_id": KEY.plate_id,
            "well_id": image_set.well_id,
            "site_id": image_set.site_id,
            "image_id": image_set.image_id,
            "Metadata_ImageNumber": image_set.image_number,
            "Metadata_ObjectNumber": number,
            "Metadata_ObjectID": object_id(image_set.image_id, "Cells", number, (number, 0, 1, 2)),
            **dict(zip(BOX_COLUMNS, (*box, None, None), strict=False)),
        }
        for number, box in enumerate(boxes, start=1)
    ]
    schema = pa.schema(
        [
            *((name, pa.string()) for name in list(rows[0])[:6]),
            ("Metadata_ImageNumber", pa.int64()),
            ("Metadata_ObjectNumber", pa.int64()),
            ("Metadata_ObjectID", pa.string()),
            *((name, pa.float64()) for name in BOX_COLUMNS),
        ]
    )
    return pa.RecordBatch.from_pylist(rows, schema=schema)


def crop(
    profiles: Sequence[pa.RecordBatch], sets: Sequence[ImageSet], sources: PlateSources
) -> Cropped:
    """Run `image_crops` to its end, and check its books."""
    log, books = RejectionLog(), CropBooks()
    batches = list(image_crops(profiles, sets, sources, log, "Cells", books))
    schema = batches[0].schema if batches else CROPS_SCHEMA
    table = pa.Table.from_batches(batches, schema)
    table.validate(full=True)
    assert books.balanced
    assert books.written == table.num_rows
    assert books.rejected == log.count("crop")
    return Cropped(table, log, books, batches)


def build_plate(root: Path, places: Sequence[tuple[str, str]]) -> Plate:
    """Write images of some sites below ``root/images/PlateA``."""
    rng = np.random.default_rng(7)
    folder = root / "images" / "PlateA"
    folder.mkdir(parents=True)
    images = {}
    sets = [make_set(well, site) for well, site in places]
    for image_set in sets:
        for file in image_set.channels:
            images[file.file_name] = rng.integers(0, 4000, SHAPE, dtype=np.uint16)
            tifffile.imwrite(folder / file.file_name, images[file.file_name])
    dataset = Dataset(
        dataset_id="dataset", root=root, layout="cellprofiler", images=ImageOptions(workers=1)
    )
    sources = PlateSources(dataset=dataset, key=KEY, folders=(), image_dir=root / "images")
    return Plate(root, sources, sets, images)


@dataclass(frozen=True)
class Human:
    """ExampleHuman as cropping takes it."""

    folder: Path
    sets: list[ImageSet]
    profiles: pa.RecordBatch
    sources: PlateSources
    boxes: list[tuple[int, int, int, int]]
