"""Source images: every channel of every image set whole, with its mask and outline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.images.columns import Cut, bounded, image_ids, payload_columns, source_columns
from cp_assets.images.loading import ImageSetLoader, LoadedImageSet
from cp_assets.images.schemas import SOURCE_IMAGES_SCHEMA
from cp_assets.rejections import Rejection, RejectionLog
from cp_assets.streams import ordered_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cp_assets.datasets.model import PlateSources
    from cp_assets.images.image_sets import ImageSet


@dataclass(frozen=True, eq=False)
class _SetImages:
    batches: tuple[pa.RecordBatch, ...]
    rejections: tuple[Rejection, ...]


def source_images(
    image_sets: Iterable[ImageSet],
    sources: PlateSources,
    log: RejectionLog,
    compartment: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Whole images of one plate, one row for each image set and channel, in their order.

    Streams and decodes as `cp_assets.images.crops.image_crops` does.

    Parameters
    ----------
    log
        Takes every image that could not be used (kind ``image``, one entry each) and every overlay
        that could not be used (``incomplete``).
    compartment
        Decides between overlays; None for the dataset's anchor, else Cells.

    Yields
    ------
    batches of `SOURCE_IMAGES_SCHEMA`

    Raises
    ------
    InputChangedError, ConfigurationError, MeasurementError
        As `cp_assets.images.crops.image_crops`.
    """
    sets = list(image_sets)
    loader = ImageSetLoader(sources, sets, compartment or sources.dataset.anchor or "Cells")

    def images(image_set: ImageSet) -> _SetImages:
        loaded = loader.load(image_set)
        return _SetImages(tuple(_batches(loaded, sources)), tuple(_rejections(loaded)))

    for done in ordered_map(images, sets, sources.dataset.images.workers):
        for rejection in done.rejections:
            log.add(rejection)
        yield from done.batches


def _rejections(loaded: LoadedImageSet) -> Iterator[Rejection]:
    yield from loaded.incomplete
    for fault in loaded.faults:
        yield Rejection(
            kind="image",
            reason=fault.reason,
            detail=fault.detail,
            well_id=loaded.image_set.well_id,
            site_id=loaded.image_set.site_id,
            image_id=loaded.image_set.image_id,
            channel=fault.channel,
            source_file=fault.source_file,
        )


def _batches(loaded: LoadedImageSet, sources: PlateSources) -> Iterator[pa.RecordBatch]:
    image_set, key = loaded.image_set, sources.key
    same = {
        "dataset_id": key.dataset_id,
        "batch_id": key.batch_id,
        "plate_id": key.plate_id,
        "well_id": image_set.well_id,
        "site_id": image_set.site_id,
        "image_id": image_set.image_id,
        "Metadata_Plate": key.plate_id,
        "Metadata_Well": image_set.well_id,
        "Metadata_Site": image_set.site_id,
        "Metadata_ImageNumber": image_set.image_number,
    }
    cuts = [
        Cut(image_id, channel, (0, 0, channel.plane.shape[1], channel.plane.shape[0]))
        for image_id, channel in zip(image_ids(loaded), loaded.channels, strict=True)
    ]
    varying = source_columns(loaded)
    for part in bounded(cuts):
        columns: dict[str, pa.Array] = payload_columns(cuts[part])
        for field in SOURCE_IMAGES_SCHEMA:
            if field.name in varying:
                columns[field.name] = pa.array(varying[field.name][part], field.type)
            elif field.name in same:
                columns[field.name] = pa.array([same[field.name]] * len(cuts[part]), field.type)
        arrays = [columns[field.name] for field in SOURCE_IMAGES_SCHEMA]
        yield pa.RecordBatch.from_arrays(arrays, schema=SOURCE_IMAGES_SCHEMA)
