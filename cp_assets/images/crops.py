"""Image crops: every object's bounding box cut from every channel of its image set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.images.boxed_objects import BoxedObjects
from cp_assets.images.cutting import Cutting
from cp_assets.images.loading import ImageSetLoader
from cp_assets.images.objects import ObjectGroup, object_groups
from cp_assets.images.schemas import CROPS_SCHEMA, without_absent_overlays
from cp_assets.rejections import Rejection, RejectionLog
from cp_assets.streams import bounded_map

if TYPE_CHECKING:
    import pyarrow as pa

    from cp_assets.datasets.model import ImageOptions, PlateSources
    from cp_assets.images.image_sets import ImageSet
    from cp_assets.streams import Admit


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


def image_crops(
    profiles: Iterable[pa.RecordBatch],
    image_sets: Iterable[ImageSet] | Mapping[str, ImageSet],
    sources: PlateSources,
    log: RejectionLog,
    compartment: str,
    books: CropBooks | None = None,
) -> Iterator[pa.RecordBatch]:
    """Cut the crops of one plate, in the order of the profiles and of the image set's channels.

    Image sets are decoded side by side (``workers`` of the dataset's image options), each file
    once; at most workers + 1 image sets and ``max_memory`` bytes of pixels are in memory. Batches
    and rejections are the same for any number of workers. A file whose windows touch less than half
    of its tiles, strips or chunks is read window by window.

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
    batches of `CROPS_SCHEMA`, without the payloads of overlays that the plate has no folder of

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
    options = sources.dataset.images
    cropper = _Cropper(sources, sets, compartment)
    totals = CropBooks() if books is None else books
    wanted = _Wanted(object_groups(profiles), options)
    with cropper.loader as loader:
        groups = loader.ahead(wanted, lambda group: sets.get(group.image_id))
        for crops in bounded_map(cropper.crop, groups, options.workers, loader.max_memory):
            yield from crops.batches
            totals.add(crops.books())
            for rejection in crops.rejections:
                log.add(rejection)
    nothing = wanted.none_found()
    if nothing:
        log.add(nothing)


class _Wanted:
    """The groups of the wells and sites that were asked for."""

    def __init__(self, groups: Iterable[ObjectGroup], options: ImageOptions) -> None:
        self._groups = groups
        self._options = options
        self._seen = self._taken = 0

    def __iter__(self) -> Iterator[ObjectGroup]:
        for group in self._groups:
            self._seen += 1
            if self._options.takes(*group.place):
                self._taken += 1
                yield group

    def none_found(self) -> Rejection | None:
        """Say that none of the plate's wells and sites was asked for; None if any was."""
        if self._taken or not self._seen:
            return None
        asked = {"wells": self._options.wells, "sites": self._options.sites}
        named = " and ".join(f"{k} {', '.join(v)}" for k, v in asked.items() if v is not None)
        return Rejection(
            kind="image",
            reason="no_such_well",
            detail=f"none of the plate's {self._seen} image sets is of the {named or 'empty'} that "
            "were asked for; see well_id and site_id of profiles.joined_profiles",
            outcome="incomplete",
        )


def _by_id(image_sets: Iterable[ImageSet] | Mapping[str, ImageSet]) -> dict[str, ImageSet]:
    if isinstance(image_sets, Mapping):
        return dict(image_sets)
    return {image_set.image_id: image_set for image_set in image_sets}


@dataclass(frozen=True, eq=False, slots=True)
class _SetCrops:
    """What one image set gives; rejections and books are complete when the batches have ended."""

    batches: Iterable[pa.RecordBatch]
    rejections: list[Rejection]
    books: Callable[[], CropBooks]


class _Cropper:
    """Crops one image set after the other; holds what they share and changes nothing of it."""

    def __init__(
        self, sources: PlateSources, sets: Mapping[str, ImageSet], compartment: str
    ) -> None:
        self.loader = ImageSetLoader(sources, sets.values(), compartment)
        self._options = sources.dataset.images
        self._schema = without_absent_overlays(CROPS_SCHEMA, self.loader.overlays.kinds)
        self._sets = sets
        self._compartment = compartment
        names = {f.channel for s in sets.values() for f in s.channels}
        self._plate_channels = len(names.union(*(s.absent for s in sets.values())))

    def crop(self, group: ObjectGroup, admit: Admit) -> _SetCrops:
        """Everything of one group of objects."""
        image_set = self._sets.get(group.image_id)
        if image_set is None:
            return self._without_image_set(group)
        objects = BoxedObjects(group, self._options, self._compartment)
        loaded = self.loader.load(image_set, objects.place, admit)
        cutting = Cutting(objects, loaded, self._schema)
        return _SetCrops(cutting.batches(), cutting.rejections, lambda: _books(cutting))

    def _without_image_set(self, group: ObjectGroup) -> _SetCrops:
        channels = max(1, self._plate_channels)
        well, site = group.place
        rejections = [
            Rejection(
                kind="crop",
                reason="no_image_set",
                detail=f"no row of the Image table has image_id {group.image_id!r}",
                compartment=self._compartment,
                well_id=well,
                site_id=site,
                image_id=group.image_id or None,
                object_number=number,
                count=channels,
            )
            for number in group.object_numbers
        ]
        count = len(group) * channels
        return _SetCrops((), rejections, lambda: CropBooks(len(group), count, 0, count))


def _books(cutting: Cutting) -> CropBooks:
    rejected = sum(one.count for one in cutting.rejections if one.kind == "crop")
    return CropBooks(len(cutting.subjects.numbers), cutting.expected, cutting.written, rejected)
