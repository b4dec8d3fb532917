"""Source images: every channel of every image set whole, with its mask and outline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.images.columns import source_columns
from cp_assets.images.cutting import Cutting, Subjects
from cp_assets.images.loading import ImageSetLoader
from cp_assets.images.schemas import SOURCE_IMAGES_SCHEMA, without_absent_overlays
from cp_assets.images.windows import Placements
from cp_assets.streams import bounded_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cp_assets.datasets.identity import PlateKey
    from cp_assets.datasets.model import PlateSources
    from cp_assets.images.image_sets import ImageSet
    from cp_assets.images.loaded import LoadedImageSet
    from cp_assets.images.readers import Shape5
    from cp_assets.rejections import Rejection, RejectionLog
    from cp_assets.streams import Admit


def source_images(
    image_sets: Iterable[ImageSet],
    sources: PlateSources,
    log: RejectionLog,
    compartment: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Whole images of one plate, one row for each image set and channel, in their order.

    Streams and decodes as `cp_assets.images.crops.image_crops` does. A large image is a payload of
    several chunks, see `cp_assets.payloads.building.chunk_shape`.

    Parameters
    ----------
    log
        Takes every image that could not be used (kind ``image``, one entry each) and every overlay
        that could not be used (``incomplete``).
    compartment
        Decides between overlays; None for the dataset's anchor, else Cells.

    Yields
    ------
    batches of `SOURCE_IMAGES_SCHEMA`, without the payloads of overlays that the plate has no folder
    of

    Raises
    ------
    InputChangedError, ConfigurationError, MeasurementError
        As `cp_assets.images.crops.image_crops`.
    """
    sets = list(image_sets)
    options = sources.dataset.images
    loader = ImageSetLoader(sources, sets, compartment or sources.dataset.anchor or "Cells")
    schema = without_absent_overlays(SOURCE_IMAGES_SCHEMA, loader.overlays.kinds)

    def images(
        image_set: ImageSet, admit: Admit
    ) -> tuple[Iterable[pa.RecordBatch], list[Rejection]]:
        whole = _WholeImages(sources.key)
        cutting = Cutting(whole, loader.load(image_set, whole.place, admit), schema)
        return cutting.batches(), cutting.rejections

    wanted = (one for one in sets if options.takes(one.well_id, one.site_id))
    with loader:
        coming = loader.ahead(wanted, lambda one: one)
        for batches, rejections in bounded_map(images, coming, options.workers, loader.max_memory):
            yield from batches
            for rejection in rejections:
                log.add(rejection)


class _WholeImages(Subjects):
    """The whole image as the one window that is cut from each channel of an image set."""

    kind = "image"
    compartment = None
    numbers = (None,)
    together = False
    id_column = "Metadata_ImageID"

    def __init__(self, plate: PlateKey) -> None:
        self._plate = plate

    def place(self, shape: Shape5) -> Placements:
        """All of an image of a shape (T, C, Z, Y, X)."""
        return Placements.whole(shape)

    def columns(self, loaded: LoadedImageSet) -> dict[str, pa.Array]:
        """All columns of the images but the payloads, channel by channel."""
        key, image_set = self._plate, loaded.image_set
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
        rows = source_columns(loaded)
        columns = {name: pa.array([value] * len(rows)) for name, value in same.items()}
        return columns | dict(zip(rows.schema.names, rows.columns, strict=True))
