"""Image crops: every object's bounding box cut from every channel of its image set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cp_assets.datasets.ids import crop_id
from cp_assets.images.boxes import box_fault, box_outside
from cp_assets.images.columns import Box, Cut, bounded, image_ids, payload_columns, source_columns
from cp_assets.images.loading import ImageSetLoader, LoadedImageSet
from cp_assets.images.objects import BOX_COLUMNS, ObjectGroup, object_groups
from cp_assets.images.schemas import CROPS_SCHEMA
from cp_assets.rejections import Rejection, RejectionLog
from cp_assets.streams import ordered_map

if TYPE_CHECKING:
    from cp_assets.datasets.model import PlateSources
    from cp_assets.images.image_sets import ImageSet


@dataclass
class CropBooks:
    """What became of the crops, filled while they stream; complete when the stream has ended."""

    objects: int = 0
    expected: int = 0
    written: int = 0
    rejected: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every crop expected was written or rejected."""
        return self.expected == self.written + self.rejected

    def add(self, other: CropBooks) -> None:
        """Count another part of the plate in."""
        self.objects += other.objects
        self.expected += other.expected
        self.written += other.written
        self.rejected += other.rejected


@dataclass(frozen=True, eq=False)
class _SetCrops:
    """All that one image set gives."""

    batches: tuple[pa.RecordBatch, ...]
    rejections: tuple[Rejection, ...]
    books: CropBooks


def image_crops(
    profiles: Iterable[pa.RecordBatch],
    image_sets: Iterable[ImageSet] | Mapping[str, ImageSet],
    sources: PlateSources,
    log: RejectionLog,
    compartment: str,
    books: CropBooks | None = None,
) -> Iterator[pa.RecordBatch]:
    """Cut the crops of one plate, in the order of the profiles and of the image set's channels.

    Image sets are decoded side by side (``sources.dataset.images.workers``), each file once; at
    most workers + 1 image sets are in memory. Batches and rejections are the same for any number of
    workers.

    Parameters
    ----------
    profiles
        Rows of ``profiles.joined_profiles`` with `cp_assets.images.objects.OBJECT_COLUMNS`,
        contiguous by ``image_id``; boxes in pixels, as measured.
    image_sets
        The plate's image sets.
    log
        Takes every crop that could not be cut (kind ``crop``) and every overlay that could not be
        used (kind ``image``, ``incomplete``).
    compartment
        Whose objects these are, such as ``Cells``; it decides between overlays.
    books
        Filled while streaming: expected = objects x channels = written + rejected.

    Yields
    ------
    batches of `CROPS_SCHEMA`

    Raises
    ------
    InputChangedError
        If an image changed while it was read; the plate can be run again.
    ConfigurationError
        If a folder cannot be listed, or a pattern or the profiles cannot be used.
    MeasurementError
        If a LoadData file cannot be used.
    """
    sets = _by_id(image_sets)
    cropper = _Cropper(ImageSetLoader(sources, sets.values(), compartment), sets, compartment)
    totals = CropBooks() if books is None else books
    for done in ordered_map(cropper.crop, object_groups(profiles), sources.dataset.images.workers):
        for rejection in done.rejections:
            log.add(rejection)
        totals.add(done.books)
        yield from done.batches


def _by_id(image_sets: Iterable[ImageSet] | Mapping[str, ImageSet]) -> dict[str, ImageSet]:
    if isinstance(image_sets, Mapping):
        return dict(image_sets)
    return {image_set.image_id: image_set for image_set in image_sets}


class _Cropper:
    """Crops one image set after the other; holds what they share and changes nothing of it."""

    def __init__(
        self, loader: ImageSetLoader, sets: Mapping[str, ImageSet], compartment: str
    ) -> None:
        self._loader = loader
        self._sets = sets
        self._compartment = compartment
        names = {f.channel for s in sets.values() for f in s.channels}
        self._plate_channels = len(names.union(*(s.absent for s in sets.values())))

    def crop(self, group: ObjectGroup) -> _SetCrops:
        """Everything of one group of objects."""
        image_set = self._sets.get(group.image_id)
        if image_set is None:
            return self._without_image_set(group)
        loaded = self._loader.load(image_set)
        where = _Where(image_set, self._compartment)
        rejections = [
            where.rejection(
                fault.reason,
                fault.detail,
                channel=fault.channel,
                source_file=fault.source_file,
                count=len(group),
            )
            for fault in loaded.faults
        ]
        cuts, owners = [], []
        for cut in _cuts(group, loaded, where):
            if isinstance(cut, Rejection):
                rejections.append(cut)
            else:
                owners.append(cut[0])
                cuts.append(cut[1])
        channels = len(image_set.channels) + len(image_set.absent)
        return _SetCrops(
            tuple(_batches(group, loaded, cuts, owners)),
            (*loaded.incomplete, *rejections),
            CropBooks(
                objects=len(group),
                expected=len(group) * channels,
                written=len(cuts),
                rejected=sum(rejection.count for rejection in rejections),
            ),
        )

    def _without_image_set(self, group: ObjectGroup) -> _SetCrops:
        channels = max(1, self._plate_channels)
        first = group.rows.slice(0, 1).to_pylist()[0]
        rejections = tuple(
            Rejection(
                kind="crop",
                reason="no_image_set",
                detail=f"no row of the Image table has image_id {group.image_id!r}",
                compartment=self._compartment,
                well_id=first["well_id"],
                site_id=first["site_id"],
                image_id=group.image_id or None,
                object_number=number,
                count=channels,
            )
            for number in group.object_numbers
        )
        count = len(group) * channels
        return _SetCrops((), rejections, CropBooks(len(group), count, 0, count))


@dataclass(frozen=True, slots=True)
class _Where:
    """The part of a rejection that all of one image set share."""

    image_set: ImageSet
    compartment: str

    def rejection(
        self,
        reason: str,
        detail: str,
        *,
        channel: str,
        source_file: str | None,
        object_number: int | None = None,
        count: int = 1,
    ) -> Rejection:
        return Rejection(
            kind="crop",
            reason=reason,
            detail=detail,
            compartment=self.compartment,
            well_id=self.image_set.well_id,
            site_id=self.image_set.site_id,
            image_id=self.image_set.image_id,
            object_number=object_number,
            channel=channel,
            source_file=source_file,
            count=count,
        )


def _cuts(
    group: ObjectGroup, loaded: LoadedImageSet, where: _Where
) -> Iterator[tuple[int, Cut] | Rejection]:
    """Cut each object from each loaded channel: its row and the cut, or why there is none."""
    ids = image_ids(loaded)
    boxes = group.boxes.tolist()
    for row, (object_id, number) in enumerate(
        zip(group.object_ids, group.object_numbers, strict=True)
    ):
        fault = box_fault(boxes[row])
        # NaN has no int: a box with a fault is not cut.
        x_min, y_min, x_max, y_max = (0 if fault else int(edge) for edge in boxes[row])
        box: Box = (x_min, y_min, x_max, y_max)
        for image_id, channel in zip(ids, loaded.channels, strict=True):
            outside = None if fault else box_outside(boxes[row], channel.plane.shape)
            found = ("box_outside_image", outside) if outside else fault
            if found is None:
                yield row, Cut(crop_id(object_id, image_id), channel, box)
            else:
                yield where.rejection(
                    *found,
                    channel=channel.file.channel,
                    source_file=channel.found.relative,
                    object_number=number,
                )


def _batches(
    group: ObjectGroup, loaded: LoadedImageSet, cuts: list[Cut], owners: list[int]
) -> Iterator[pa.RecordBatch]:
    per_channel = {name: pa.array(v, pa.string()) for name, v in source_columns(loaded).items()}
    places = {id(channel): place for place, channel in enumerate(loaded.channels)}
    for part in bounded(cuts):
        chosen = cuts[part]
        objects = group.rows.take(pa.array(owners[part], pa.int64())).combine_chunks()
        which = pa.array([places[id(cut.channel)] for cut in chosen], pa.int64())
        columns = {name: objects[name].combine_chunks() for name in objects.column_names}
        columns |= {name: values.take(which) for name, values in per_channel.items()}
        columns |= {f"Metadata_{name.capitalize()}": columns[f"{name}_id"] for name in _PLACES}
        columns |= payload_columns(chosen)
        edges = np.array([cut.box for cut in chosen], np.int32)
        columns |= {name: pa.array(edges[:, edge]) for edge, name in enumerate(BOX_COLUMNS)}
        columns["Metadata_ImageCropID"] = pa.array([cut.id for cut in chosen], pa.string())
        arrays = [columns[field.name].cast(field.type) for field in CROPS_SCHEMA]
        yield pa.RecordBatch.from_arrays(arrays, schema=CROPS_SCHEMA)


_PLACES = ("plate", "well", "site")
