"""Cutting one image set: its objects' windows from its channels, as batches of crops."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cp_assets.datasets.ids import crop_id
from cp_assets.errors import ImageReadError
from cp_assets.images.boxes import box_fault, box_of, box_outside, good_boxes
from cp_assets.images.columns import (
    cut_piece,
    fits,
    image_ids,
    in_batches,
    overlay_rejections,
    payload_columns,
    source_columns,
    too_large,
)
from cp_assets.images.objects import DEPTH_COLUMNS
from cp_assets.images.schemas import CROPS_SCHEMA
from cp_assets.images.windows import Placement, Placements, window_of
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cp_assets.datasets.model import Border, ImageOptions
    from cp_assets.images.columns import Piece
    from cp_assets.images.loaded import LoadedChannel, LoadedImageSet
    from cp_assets.images.objects import ObjectGroup
    from cp_assets.images.readers import Shape5
    from cp_assets.images.windows import Fault

_PLACES = ("plate", "well", "site")


class BoxedObjects:
    """The objects of an image set, and where their boxes lie in its images."""

    def __init__(self, group: ObjectGroup, options: ImageOptions) -> None:
        self.group = group
        self.options = options
        self._edges = group.boxes
        self._placed: dict[Shape5, Placements] = {}

    def place(self, shape: Shape5) -> Placements:
        """What is cut from images of a shape (T, C, Z, Y, X); worked out once for each shape."""
        if shape not in self._placed:
            good = good_boxes(self._edges, shape).tolist()
            rows = zip(self._edges.tolist(), good, strict=True)
            found = [
                self._found(edges, shape) if ok else _fault(edges, shape) for edges, ok in rows
            ]
            self._placed[shape] = Placements(found)
        return self._placed[shape]

    def _found(self, edges: list[float], shape: Shape5) -> Placement:
        return Placement.of(window_of(box_of(edges), shape, self.options), shape)


@dataclass(eq=False, slots=True)
class Cutting:
    """The cutting of one image set.

    Attributes
    ----------
    compartment
        Whose objects these are, for the books.
    schema
        Of the batches: `CROPS_SCHEMA`, or a part of it.
    written, rejections
        Complete when `batches` has ended.
    """

    objects: BoxedObjects
    loaded: LoadedImageSet
    compartment: str
    schema: pa.Schema = CROPS_SCHEMA
    written: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    @property
    def expected(self) -> int:
        """Crops that the image set should give."""
        channels = len(self.loaded.channels) + len(self.loaded.faults)
        return len(self.objects.group) * channels

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Cut object by object, in whole objects a batch; the image set is closed afterwards."""
        self.rejections.extend(self.loaded.incomplete)
        group = self.objects.group
        for fault in self.loaded.faults:
            self.rejections.append(
                self._rejection(
                    (fault.reason, fault.detail), fault.channel, fault.source_file, count=len(group)
                )
            )
        origins = {
            name: pa.array(values, pa.string())
            for name, values in source_columns(self.loaded).items()
        }
        place = {id(channel): place for place, channel in enumerate(self.loaded.channels)}
        with self.loaded:
            for pieces in in_batches(self._objects()):
                which = pa.array([place[id(piece.channel)] for piece in pieces], pa.int64())
                columns = {name: values.take(which) for name, values in origins.items()}
                yield _batch(group, pieces, columns, self.schema)

    def _objects(self) -> Iterator[list[Piece]]:
        """Cut each object from every channel that its box fits."""
        group, border = self.objects.group, self.objects.options.border
        channels = [
            (image_id, channel, self.objects.place(channel.pixels.shape).found)
            for image_id, channel in zip(image_ids(self.loaded), self.loaded.channels, strict=True)
        ]
        largest = max(
            (self.objects.place(one.pixels.shape).largest for _, one, _ in channels), default=0
        )
        all_fit = fits(largest, self.loaded.channels, self.loaded.room)
        keys = zip(group.object_ids, group.object_numbers, strict=True)
        for row, (object_id, number) in enumerate(keys):
            pieces = []
            places = [(channel, found[row]) for _, channel, found in channels]
            fault = None if all_fit else self._too_large(places)
            for image_id, channel, found in channels:
                place = fault or found[row]
                piece = _piece(crop_id(object_id, image_id), row, channel, place, border)
                if isinstance(piece, tuple):
                    path = channel.found.relative
                    self.rejections.append(self._rejection(piece, channel.name, path, number))
                    continue
                pieces.append(piece)
                if piece.overlay_errors:
                    self.rejections.extend(overlay_rejections(piece, self.loaded.image_set, number))
            self.written += len(pieces)
            yield pieces

    def _too_large(self, places: Sequence[tuple[LoadedChannel, Placement | Fault]]) -> Fault | None:
        """Why all channels of an object cannot be in memory together; None if they can."""
        placed = [(channel, one) for channel, one in places if isinstance(one, Placement)]
        if not placed:
            return None
        largest = max((one.window for _, one in placed), key=lambda window: window.area)
        return too_large(largest, [channel for channel, _ in placed], self.loaded.room)

    def _rejection(
        self,
        why: tuple[str, str],
        channel: str,
        source_file: str | None,
        object_number: int | None = None,
        count: int = 1,
    ) -> Rejection:
        image_set = self.loaded.image_set
        return Rejection(
            kind="crop",
            reason=why[0],
            detail=why[1],
            compartment=self.compartment,
            well_id=image_set.well_id,
            site_id=image_set.site_id,
            image_id=image_set.image_id,
            object_number=object_number,
            channel=channel,
            source_file=source_file,
            count=count,
        )


def _fault(edges: list[float], shape: Shape5) -> Fault:
    """Why a box cannot be cut from images of a shape."""
    outside = ("box_outside_image", box_outside(edges, shape) or "")
    return box_fault(edges) or outside


def _piece(
    id_: str, row: int, channel: LoadedChannel, found: Placement | Fault, border: Border
) -> Piece | Fault:
    """One crop, or why there is none."""
    if isinstance(found, tuple):
        return found
    try:
        return cut_piece(id_, row, channel, found, border)
    except ImageReadError as error:
        return "unreadable_image", str(error)


def _batch(
    group: ObjectGroup,
    pieces: Sequence[Piece],
    origins: dict[str, pa.Array],
    schema: pa.Schema,
) -> pa.RecordBatch:
    owners = pa.array([piece.owner for piece in pieces], pa.int64())
    objects = group.rows.take(owners).combine_chunks()
    columns = {name: objects[name].combine_chunks() for name in objects.column_names}
    columns |= origins
    columns |= {f"Metadata_{name.capitalize()}": columns[f"{name}_id"] for name in _PLACES}
    columns |= payload_columns(pieces)
    edges = np.array([(*p.window.x, *p.window.y) for p in pieces], np.int32)
    for axis, first in (("X", 0), ("Y", 2)):
        columns[f"Metadata_SourceBBox{axis}Min"] = pa.array(edges[:, first])
        columns[f"Metadata_SourceBBox{axis}Max"] = pa.array(edges[:, first + 1])
    # In Z the window is the box as measured, or the whole stack, which is null.
    columns |= {name: columns[name].cast(pa.int32()) for name in DEPTH_COLUMNS}
    columns["Metadata_ImageCropID"] = pa.array([piece.id for piece in pieces], pa.string())
    arrays = [columns[field.name].cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
