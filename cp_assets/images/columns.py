"""Columns that image crops and source images share: a channel's origin, and its payloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.datasets.ids import source_image_id
from cp_assets.errors import ImageReadError
from cp_assets.images.windows import cut
from cp_assets.payloads.building import MAX_BATCH_BYTES, payload_array
from cp_assets.payloads.types import OME_ARROW_TYPE
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cp_assets.datasets.model import Border
    from cp_assets.images.image_sets import ImageSet
    from cp_assets.images.loaded import LoadedChannel, LoadedImageSet, LoadedOverlay
    from cp_assets.images.readers import Pixels
    from cp_assets.images.windows import Fault, Placement, Window

BATCH_BYTES = 4 * 2**20
"""Pixels of one payload column in one record batch, in bytes: a row group of the crops."""


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """The pixels of one row: a window of one channel, and of its mask and outline.

    Attributes
    ----------
    id
        Becomes the payloads' id.
    owner
        Row of the object that it is cut for.
    overlay_errors
        What could not be read of the overlays, which are None then.
    """

    id: str
    owner: int
    channel: LoadedChannel
    window: Window
    image: Pixels
    mask: Pixels | None
    outline: Pixels | None
    overlay_errors: tuple[str, ...] = ()

    @property
    def label_kind(self) -> str | None:
        """What the label is: ``outline`` where there is one, else ``mask``, or None."""
        if self.outline is not None:
            return "outline"
        return None if self.mask is None else "mask"

    @property
    def nbytes(self) -> int:
        """Bytes of the largest of its payloads."""
        overlays = [one.nbytes for one in (self.mask, self.outline) if one is not None]
        return max(self.image.nbytes, *overlays) if overlays else self.image.nbytes


def cut_piece(
    id_: str, owner: int, channel: LoadedChannel, placement: Placement, border: Border
) -> Piece:
    """Cut a window from a channel and its overlays.

    Raises
    ------
    ImageReadError
        If the channel's pixels cannot be read.
    """
    image = cut(channel.pixels.read, channel.pixels.shape, placement, border)
    errors: list[str] = []
    mask = _cut_overlay(channel.mask, placement, border, errors)
    outline = _cut_overlay(channel.outline, placement, border, errors)
    return Piece(id_, owner, channel, placement.window, image, mask, outline, tuple(errors))


def fits(area: int, channels: Iterable[LoadedChannel], room: int) -> bool:
    """Whether windows of so many pixels can be cut from channels at once; see `too_large`."""
    pixels = sum(channel.bytes_per_pixel for channel in channels) * area
    return 2 * pixels <= room and pixels <= MAX_BATCH_BYTES


def too_large(window: Window, channels: Sequence[LoadedChannel], room: int) -> Fault | None:
    """Why a window cannot be cut from channels at once; None if it can.

    Parameters
    ----------
    room
        Bytes that there are: the pixels are held twice, as cut and as payloads.
    """
    if fits(window.area, channels, room):
        return None
    pixels = sum(channel.bytes_per_pixel for channel in channels) * window.area
    sizes = " x ".join(str(high - low) for low, high in (window.x, window.y, window.z))
    detail = (
        f"window of {sizes} pixels (x by y by z): with masks and outlines it takes "
        f"{2 * pixels / 2**20:.0f} MiB in memory, {room / 2**20:.0f} MiB of max_memory are left "
        f"(and one batch holds {MAX_BATCH_BYTES / 2**20:.0f} MiB at most); raise max_memory, or "
        "lower padding or crop_size"
    )
    return "image_too_large", detail


def _cut_overlay(
    overlay: LoadedOverlay | None, placement: Placement, border: Border, errors: list[str]
) -> Pixels | None:
    if overlay is None:
        return None
    try:
        return cut(overlay.pixels.read, overlay.pixels.shape, placement, border)
    except ImageReadError as error:
        errors.append(str(error))
        return None


def source_columns(loaded: LoadedImageSet) -> dict[str, list[str | None]]:
    """Say where a channel comes from: columns with one value for each loaded channel."""
    channels = loaded.channels
    return {
        "Metadata_ImageID": list(image_ids(loaded)),
        "Metadata_Channel": [c.name for c in channels],
        "source_image_column": [f"Image_FileName_{c.file.channel}" for c in channels],
        "source_image_file": [c.file.file_name for c in channels],
        "source_image_original_path": [c.found.original for c in channels],
        "source_image_path": [c.found.relative for c in channels],
        "source_mask_path": [c.mask.relative if c.mask else None for c in channels],
        "source_outline_path": [c.outline.relative if c.outline else None for c in channels],
    }


def image_ids(loaded: LoadedImageSet) -> list[str]:
    """``Metadata_ImageID`` of each loaded channel."""
    image_set = loaded.image_set.image_id
    return [source_image_id(image_set, c.name, c.file.file_name) for c in loaded.channels]


def payload_columns(pieces: Sequence[Piece]) -> dict[str, pa.Array]:
    """Image, mask, outline and label payloads of the pieces, and what the labels are."""
    image = payload_array(
        [piece.image for piece in pieces],
        ids=[piece.id for piece in pieces],
        names=[piece.channel.file.file_name for piece in pieces],
        channels=[piece.channel.name for piece in pieces],
        physical_sizes=[piece.channel.physical_size for piece in pieces],
    )
    masks = [piece.mask for piece in pieces]
    outlines = [piece.outline for piece in pieces]
    mask = _overlay_payloads(pieces, masks, [piece.channel.mask for piece in pieces])
    outline = _overlay_payloads(pieces, outlines, [piece.channel.outline for piece in pieces])
    # The same arrays where one kind serves all rows: its buffers are shared, not copied.
    if outline.null_count == 0 or mask.null_count == len(pieces):
        label = outline
    elif outline.null_count == len(pieces):
        label = mask
    else:
        drawn = [pixels is not None for pixels in outlines]
        label = _overlay_payloads(
            pieces,
            [o if d else m for d, o, m in zip(drawn, outlines, masks, strict=True)],
            [
                p.channel.outline if d else p.channel.mask
                for d, p in zip(drawn, pieces, strict=True)
            ],
        )
    return {
        "ome_arrow_image": image,
        "ome_arrow_mask": mask,
        "ome_arrow_outline": outline,
        "ome_arrow_label": label,
        "label_source_kind": pa.array([piece.label_kind for piece in pieces], pa.string()),
    }


def _overlay_payloads(
    pieces: Sequence[Piece],
    overlays: Sequence[Pixels | None],
    origins: Sequence[LoadedOverlay | None],
) -> pa.StructArray:
    if not any(origins):
        return pa.nulls(len(pieces), OME_ARROW_TYPE)
    return payload_array(
        overlays,
        ids=[piece.id for piece in pieces],
        names=[origin.relative.rsplit("/", 1)[-1] if origin else None for origin in origins],
        channels=[piece.channel.name for piece in pieces],
        image_type="label",
    )


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


def overlay_rejections(
    piece: Piece, image_set: ImageSet, object_number: int | None = None
) -> Iterator[Rejection]:
    """What the books say of a piece whose overlays could not be read."""
    for error in piece.overlay_errors:
        yield Rejection(
            kind="image",
            reason="unreadable_overlay",
            detail=f"{error}; it is left empty",
            outcome="incomplete",
            well_id=image_set.well_id,
            site_id=image_set.site_id,
            image_id=image_set.image_id,
            object_number=object_number,
            channel=piece.channel.name,
        )
