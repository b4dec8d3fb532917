"""Source images: every channel of every image set whole, with its mask and outline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.errors import ImageReadError
from cp_assets.images.columns import (
    cut_piece,
    image_ids,
    in_batches,
    overlay_rejections,
    payload_columns,
    source_columns,
    too_large,
)
from cp_assets.images.loading import ImageSetLoader
from cp_assets.images.schemas import SOURCE_IMAGES_SCHEMA, without_absent_overlays
from cp_assets.images.windows import Placement, Placements, Window
from cp_assets.rejections import Rejection, RejectionLog
from cp_assets.streams import bounded_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cp_assets.datasets.model import PlateSources
    from cp_assets.images.columns import Piece
    from cp_assets.images.image_sets import ImageSet
    from cp_assets.images.loaded import LoadedImageSet
    from cp_assets.images.readers import Shape5
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

    def images(image_set: ImageSet, admit: Admit) -> _SetImages:
        loaded = loader.load(image_set, lambda shape: Placements([_whole(shape)]), admit)
        done = _SetImages(loaded, sources, schema)
        done.batches = list(done.made()) if done.loaded.cut_at_once else done.made()
        return done

    wanted = (one for one in sets if options.takes(one.well_id, one.site_id))
    for done in bounded_map(images, wanted, options.workers, options.max_memory):
        yield from done.batches
        for rejection in done.rejections:
            log.add(rejection)


def _whole(shape: Shape5) -> Placement:
    _, _, z, y, x = shape
    return Placement.of(Window((0, z), (0, y), (0, x)), shape)


@dataclass(eq=False)
class _SetImages:
    """The images of one image set; rejections are complete when the batches have ended."""

    loaded: LoadedImageSet
    sources: PlateSources
    schema: pa.Schema
    rejections: list[Rejection] = field(default_factory=list)
    batches: Iterable[pa.RecordBatch] = ()

    def made(self) -> Iterator[pa.RecordBatch]:
        self.rejections.extend(self.loaded.incomplete)
        for fault in self.loaded.faults:
            self._reject(fault.reason, fault.detail, fault.channel, fault.source_file)
        origins = source_columns(self.loaded)
        with self.loaded:
            for pieces in in_batches(self._pieces()):
                yield self._batch(pieces, origins)

    def _pieces(self) -> Iterator[list[Piece]]:
        for row, id_ in enumerate(image_ids(self.loaded)):
            channel = self.loaded.channels[row]
            place = _whole(channel.pixels.shape)
            fault = too_large(place.window, [channel], self.loaded.room)
            if fault:
                self._reject(*fault, channel.name, channel.found.relative)
                continue
            try:
                piece = cut_piece(id_, row, channel, place, "clip")
            except ImageReadError as error:
                path = channel.found.relative
                self._reject("unreadable_image", str(error), channel.name, path)
                continue
            self.rejections.extend(overlay_rejections(piece, self.loaded.image_set))
            yield [piece]

    def _reject(self, reason: str, detail: str, channel: str, source_file: str | None) -> None:
        image_set = self.loaded.image_set
        self.rejections.append(
            Rejection(
                kind="image",
                reason=reason,
                detail=detail,
                well_id=image_set.well_id,
                site_id=image_set.site_id,
                image_id=image_set.image_id,
                channel=channel,
                source_file=source_file,
            )
        )

    def _batch(
        self, pieces: Sequence[Piece], origins: dict[str, list[str | None]]
    ) -> pa.RecordBatch:
        image_set, key = self.loaded.image_set, self.sources.key
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
        columns: dict[str, pa.Array] = payload_columns(pieces)
        for column in self.schema:
            if column.name in origins:
                values = [origins[column.name][piece.owner] for piece in pieces]
                columns[column.name] = pa.array(values, column.type)
            elif column.name in same:
                columns[column.name] = pa.array([same[column.name]] * len(pieces), column.type)
        arrays = [columns[column.name] for column in self.schema]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)
