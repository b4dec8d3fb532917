"""The objects of one image set as what is cut of it: their boxes, and their rows' columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cp_assets.datasets.ids import crop_ids
from cp_assets.images.boxes import box_fault, box_outside, boxes_in, flat_boxes, good_boxes
from cp_assets.images.columns import source_columns
from cp_assets.images.cutting import Subjects
from cp_assets.images.windows import place

if TYPE_CHECKING:
    from cp_assets.datasets.model import ImageOptions
    from cp_assets.images.loaded import LoadedImageSet
    from cp_assets.images.objects import ObjectGroup
    from cp_assets.images.readers import Shape5
    from cp_assets.images.windows import Fault, Placements

_PLACES = ("plate", "well", "site")


class BoxedObjects(Subjects):
    """The objects of an image set, and where their boxes lie in its images.

    Parameters
    ----------
    compartment
        Whose objects these are, for the books.
    """

    kind = "crop"
    together = True
    id_column = "Metadata_ImageCropID"

    def __init__(self, group: ObjectGroup, options: ImageOptions, compartment: str) -> None:
        self.compartment = compartment
        self.numbers = group.object_numbers
        self._group = group
        self._options = options
        self._edges = group.boxes
        self._placed: dict[tuple[int, ...], Placements] = {}

    def place(self, shape: Shape5) -> Placements:
        """What is cut from images of a shape (T, C, Z, Y, X); worked out once for each Z, Y, X."""
        if shape[2:] not in self._placed:
            good = good_boxes(self._edges, shape)
            boxes = boxes_in(self._edges, good, depth=shape[2])
            self._placed[shape[2:]] = place(boxes, good, shape, self._options)
        return self._placed[shape[2:]]

    def faults(self, placements: Placements, shape: Shape5) -> dict[int, Fault]:
        """Row -> why its box cannot be cut from images of a shape."""
        bad = np.flatnonzero(~placements.good).tolist()
        return {row: self._fault(row, shape) for row in bad}

    def _fault(self, row: int, shape: Shape5) -> Fault:
        edges = self._edges[row].tolist()
        return box_fault(edges) or ("box_outside_image", box_outside(edges, shape) or "")

    def columns(self, loaded: LoadedImageSet) -> dict[str, pa.Array]:
        """All columns of the crops but the payloads, object by object, in each channel."""
        objects, origins = self._group.keys, source_columns(loaded)
        owner = pa.array(np.repeat(np.arange(len(objects)), len(origins)))
        channel = pa.array(np.tile(np.arange(len(origins)), len(objects)))
        columns: dict[str, pa.Array] = {}
        for part, rows in ((objects, owner), (origins, channel)):
            columns |= dict(zip(part.schema.names, part.take(rows).columns, strict=True))
        columns |= {f"Metadata_{name.capitalize()}": columns[f"{name}_id"] for name in _PLACES}
        ids = crop_ids(self._group.object_ids, origins["Metadata_ImageID"].to_pylist())
        return columns | {"Metadata_ImageCropID": pa.array(ids)} | self._windows(loaded)

    def _windows(self, loaded: LoadedImageSet) -> dict[str, pa.Array]:
        placed = [self.place(channel.pixels.shape).windows for channel in loaded.channels]
        z, y, x = np.stack(placed, axis=1).reshape(-1, 3, 2).transpose(1, 2, 0)
        # In Z the box as measured: it is null for the whole stack.
        flat = np.repeat(flat_boxes(self._edges), len(placed))
        return {
            f"Metadata_SourceBBox{axis}{end}": pa.array(edges, mask=mask)
            for axis, ends, mask in (("X", x, None), ("Y", y, None), ("Z", z, flat))
            for end, edges in zip(("Min", "Max"), ends, strict=True)
        }
