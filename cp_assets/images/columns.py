"""Columns that image crops and source images share: a channel's origin, and its payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.datasets.ids import source_image_id
from cp_assets.images.payload import payload_array
from cp_assets.images.payload_type import OME_ARROW_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from cp_assets.images.loading import LoadedChannel, LoadedImageSet, LoadedOverlay

BATCH_BYTES = 32 * 2**20
"""Pixels of one payload column in one record batch, in bytes: bounds memory and int32 offsets."""

Box = tuple[int, int, int, int]
"""x_min, y_min, x_max, y_max in pixels, half-open."""


@dataclass(frozen=True, eq=False, slots=True)
class Cut:
    """One row to be: a box of one loaded channel; ``id`` becomes the payload's id."""

    id: str
    channel: LoadedChannel
    box: Box


def source_columns(loaded: LoadedImageSet) -> dict[str, list[str | None]]:
    """Say where a channel comes from: columns with one value for each loaded channel."""
    channels = loaded.channels
    return {
        "Metadata_ImageID": list(image_ids(loaded)),
        "Metadata_Channel": [c.file.channel for c in channels],
        "source_image_column": [f"Image_FileName_{c.file.channel}" for c in channels],
        "source_image_file": [c.file.file_name for c in channels],
        "source_image_original_path": [c.found.original for c in channels],
        "source_image_path": [c.found.relative for c in channels],
        "source_mask_path": [c.mask.relative if c.mask else None for c in channels],
        "source_outline_path": [c.outline.relative if c.outline else None for c in channels],
        "label_source_kind": [c.label_kind for c in channels],
    }


def image_ids(loaded: LoadedImageSet) -> list[str]:
    """``Metadata_ImageID`` of each loaded channel."""
    image_set = loaded.image_set.image_id
    return [source_image_id(image_set, c.file.channel, c.file.file_name) for c in loaded.channels]


def payload_columns(cuts: Sequence[Cut]) -> dict[str, pa.Array]:
    """Image, mask, outline and label payloads of the cuts."""
    image = payload_array(
        [_cut(cut.channel.plane, cut.box) for cut in cuts],
        ids=[cut.id for cut in cuts],
        names=[cut.channel.file.file_name for cut in cuts],
        channels=[cut.channel.file.channel for cut in cuts],
    )
    mask = _overlay_payloads(cuts, [cut.channel.mask for cut in cuts])
    outline = _overlay_payloads(cuts, [cut.channel.outline for cut in cuts])
    # The same arrays where one kind serves all rows: its buffers are shared, not copied.
    if outline.null_count == 0 or mask.null_count == len(cuts):
        label = outline
    elif outline.null_count == len(cuts):
        label = mask
    else:
        label = _overlay_payloads(cuts, [cut.channel.label for cut in cuts])
    return {
        "ome_arrow_image": image,
        "ome_arrow_mask": mask,
        "ome_arrow_outline": outline,
        "ome_arrow_label": label,
    }


def _overlay_payloads(
    cuts: Sequence[Cut], overlays: Sequence[LoadedOverlay | None]
) -> pa.StructArray:
    if not any(overlays):
        return pa.nulls(len(cuts), OME_ARROW_TYPE)
    pairs = list(zip(cuts, overlays, strict=True))
    return payload_array(
        [_cut(overlay.plane, cut.box) if overlay else None for cut, overlay in pairs],
        ids=[cut.id for cut in cuts],
        names=[overlay.relative.rsplit("/", 1)[-1] if overlay else None for overlay in overlays],
        channels=[cut.channel.file.channel for cut in cuts],
        image_type="label",
    )


def _cut(plane: npt.NDArray[np.generic], box: Box) -> npt.NDArray[np.generic]:
    x_min, y_min, x_max, y_max = box
    return plane[y_min:y_max, x_min:x_max]


def bounded(cuts: Sequence[Cut], limit: int = BATCH_BYTES) -> Iterator[slice]:
    """Slice the cuts, in order, into parts of at most ``limit`` bytes a payload column."""
    start, size = 0, 0
    for row, cut in enumerate(cuts):
        x_min, y_min, x_max, y_max = cut.box
        channel = cut.channel
        overlays = [
            overlay.plane.itemsize for overlay in (channel.mask, channel.outline) if overlay
        ]
        cut_size = (y_max - y_min) * (x_max - x_min) * max([channel.plane.itemsize, *overlays])
        if row > start and size + cut_size > limit:
            yield slice(start, row)
            start, size = row, 0
        size += cut_size
    if start < len(cuts):
        yield slice(start, len(cuts))
