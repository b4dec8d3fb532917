"""Columns that image crops and source images share: a channel's origin, and its payloads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from cp_assets.datasets.ids import source_image_id
from cp_assets.payloads.building import payload_array
from cp_assets.payloads.types import OME_ARROW_TYPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cp_assets.images.loaded import LoadedChannel, LoadedImageSet, LoadedOverlay
    from cp_assets.images.readers import Pixels

BATCH_BYTES = 4 * 2**20
"""Pixels of one payload column in one record batch, in bytes: a row group of the crops."""


@dataclass(eq=False, slots=True)
class Pieces:
    """The pixels of the rows of one batch, column by column: an object a row would cost more.

    Attributes
    ----------
    rows
        Which of the image set's rows they are.
    images, masks, outlines
        A window of the row's channel, and of its mask and outline.
    """

    rows: list[int] = field(default_factory=list)
    channels: list[LoadedChannel] = field(default_factory=list)
    images: list[Pixels] = field(default_factory=list)
    masks: list[Pixels | None] = field(default_factory=list)
    outlines: list[Pixels | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def add(
        self,
        row: int,
        channel: LoadedChannel,
        image: Pixels,
        mask: Pixels | None,
        outline: Pixels | None,
    ) -> int:
        """Add a row; returns the bytes of the largest of its payloads."""
        self.rows.append(row)
        self.channels.append(channel)
        self.images.append(image)
        self.masks.append(mask)
        self.outlines.append(outline)
        overlays = [one.nbytes for one in (mask, outline) if one is not None]
        return max(image.nbytes, *overlays) if overlays else image.nbytes

    def split(self, start: int) -> Pieces:
        """Take the rows from ``start`` on out, into a batch of their own."""
        columns: list[list[Any]]
        columns = [self.rows, self.channels, self.images, self.masks, self.outlines]
        taken = Pieces(*(column[start:] for column in columns))
        for column in columns:
            del column[start:]
        return taken


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
    pieces: Pieces, rows: pa.RecordBatch, ids: pa.StringArray
) -> dict[str, pa.Array]:
    """Image, mask, outline and label payloads of the pieces, and what the labels are.

    Parameters
    ----------
    rows
        The pieces' `source_columns`.
    ids
        Of the payloads.
    """
    names = rows["Metadata_Channel"]
    image = payload_array(
        pieces.images,
        ids=ids,
        names=rows["source_image_file"],
        channels=names,
        physical_sizes=[channel.physical_size for channel in pieces.channels],
    )

    def overlay(
        pixels: Sequence[Pixels | None], origins: Sequence[LoadedOverlay | None]
    ) -> pa.StructArray:
        if not any(origins):
            return pa.nulls(len(pieces), OME_ARROW_TYPE)
        files = [origin.file_name if origin else None for origin in origins]
        return payload_array(pixels, ids=ids, names=files, channels=names, image_type="label")

    mask = overlay(pieces.masks, [channel.mask for channel in pieces.channels])
    outline = overlay(pieces.outlines, [channel.outline for channel in pieces.channels])
    # The same arrays where one kind serves all rows: its buffers are shared, not copied.
    if outline.null_count == 0 or mask.null_count == len(pieces):
        label = outline
    elif outline.null_count == len(pieces):
        label = mask
    else:
        both = zip(pieces.outlines, pieces.masks, pieces.channels, strict=True)
        chosen = [(m, c.mask) if o is None else (o, c.outline) for o, m, c in both]
        label = overlay([pixels for pixels, _ in chosen], [origin for _, origin in chosen])
    return {
        "ome_arrow_image": image,
        "ome_arrow_mask": mask,
        "ome_arrow_outline": outline,
        "ome_arrow_label": label,
        "label_source_kind": pc.if_else(
            outline.is_valid(), "outline", pc.if_else(mask.is_valid(), "mask", None)
        ),
    }
