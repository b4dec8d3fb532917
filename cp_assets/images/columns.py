"""Columns that image crops and source images share: a channel's origin, and its payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from cp_assets.datasets.ids import source_image_id
from cp_assets.payloads.building import payload_array
from cp_assets.payloads.types import OME_ARROW_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cp_assets.images.loaded import LoadedChannel, LoadedImageSet, LoadedOverlay
    from cp_assets.images.readers import Pixels

BATCH_BYTES = 4 * 2**20
"""Pixels of one payload column in one record batch, in bytes: a row group of the crops."""


class Piece(NamedTuple):
    """The pixels of one row: a window of one channel, and of its mask and outline.

    Attributes
    ----------
    row
        Which of the image set's rows it is.
    """

    row: int
    channel: LoadedChannel
    image: Pixels
    mask: Pixels | None
    outline: Pixels | None

    @property
    def nbytes(self) -> int:
        """Bytes of the largest of its payloads."""
        overlays = [one.nbytes for one in (self.mask, self.outline) if one is not None]
        return max(self.image.nbytes, *overlays) if overlays else self.image.nbytes


def in_batches(
    groups: Iterable[Sequence[Piece]], limit: int = BATCH_BYTES
) -> Iterator[list[Piece]]:
    """Gather groups of pieces, whole and in order, into batches of about ``limit`` bytes."""
    batch: list[Piece] = []
    size = 0
    for pieces in groups:
        new = sum(piece.nbytes for piece in pieces)
        if batch and size + new > limit:
            yield batch
            batch, size = [], 0
        batch.extend(pieces)
        size += new
    if batch:
        yield batch


def source_columns(loaded: LoadedImageSet) -> pa.RecordBatch:
    """Say where a channel comes from: a row for each loaded channel."""
    image_id, channels = loaded.image_set.image_id, loaded.channels
    columns = {
        "Metadata_ImageID": [source_image_id(image_id, c.name, c.file.file_name) for c in channels],
        "Metadata_Channel": [c.name for c in channels],
        "source_image_column": [f"Image_FileName_{c.file.channel}" for c in channels],
        "source_image_file": [c.file.file_name for c in channels],
        "source_image_original_path": [c.found.original for c in channels],
        "source_image_path": [c.found.relative for c in channels],
        "source_mask_path": [c.mask.relative if c.mask else None for c in channels],
        "source_outline_path": [c.outline.relative if c.outline else None for c in channels],
    }
    arrays = [pa.array(values, pa.string()) for values in columns.values()]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def payload_columns(
    pieces: Sequence[Piece], rows: pa.RecordBatch, ids: pa.StringArray
) -> dict[str, pa.Array]:
    """Image, mask, outline and label payloads of the pieces, and what the labels are.

    Parameters
    ----------
    rows
        The pieces' `source_columns`.
    ids
        Of the payloads.
    """
    _, channels, images, masks, outlines = zip(*pieces, strict=True)
    names = rows["Metadata_Channel"]
    image = payload_array(
        images,
        ids=ids,
        names=rows["source_image_file"],
        channels=names,
        physical_sizes=[channel.physical_size for channel in channels],
    )

    def overlay(
        pixels: Sequence[Pixels | None], origins: Sequence[LoadedOverlay | None]
    ) -> pa.StructArray:
        if not any(origins):
            return pa.nulls(len(pieces), OME_ARROW_TYPE)
        files = [origin.file_name if origin else None for origin in origins]
        return payload_array(pixels, ids=ids, names=files, channels=names, image_type="label")

    mask = overlay(masks, [channel.mask for channel in channels])
    outline = overlay(outlines, [channel.outline for channel in channels])
    # The same arrays where one kind serves all rows: its buffers are shared, not copied.
    if outline.null_count == 0 or mask.null_count == len(pieces):
        label = outline
    elif outline.null_count == len(pieces):
        label = mask
    else:
        label = overlay(
            [piece.mask if piece.outline is None else piece.outline for piece in pieces],
            [c.mask if o is None else c.outline for c, o in zip(channels, outlines, strict=True)],
        )
    return {
        "ome_arrow_image": image,
        "ome_arrow_mask": mask,
        "ome_arrow_outline": outline,
        "ome_arrow_label": label,
        "label_source_kind": pa.array([_label_kind(piece) for piece in pieces], pa.string()),
    }


def _label_kind(piece: Piece) -> str | None:
    """What a label is: ``outline`` where there is one, else ``mask``, or None."""
    if piece.outline is not None:
        return "outline"
    return None if piece.mask is None else "mask"
