"""The image arrays of a plate: what the headers of the files say that its image sets name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from cp_assets.datasets.ids import source_image_id
from cp_assets.errors import ImageReadError
from cp_assets.images.overlays import OVERLAY_KINDS, OverlayFinder
from cp_assets.images.resolve import ImageResolver, UnresolvedImage
from cp_assets.scanning.scan import scan_place
from cp_assets.scanning.tables import AssetKeys
from cp_assets.streams import ordered_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cp_assets.datasets.model import PlateSources
    from cp_assets.images.image_sets import ChannelFile, ImageSet
    from cp_assets.images.resolve import ResolvedImage
    from cp_assets.rejections import Rejection, RejectionLog
    from cp_assets.scanning.model import ImageAsset, ScanResult
    from cp_assets.stores import Place

_SCANS_KEPT = 64
"""A file of many image sets is scanned once while their rows are made."""


@dataclass(frozen=True, slots=True)
class PlateImage:
    """An image array of a plate.

    Attributes
    ----------
    path
        Where its file or store lies.
    """

    asset: ImageAsset
    keys: AssetKeys
    path: Place


def plate_images(
    image_sets: Iterable[ImageSet], sources: PlateSources, log: RejectionLog, compartment: str
) -> Iterator[PlateImage]:
    """Every image array of a plate's source images, masks and outlines, in the image sets' order.

    All channels count, also those that are not cropped. A file that several image sets share, each
    a plane of it, is found once for each; a mask or outline once for each image set.

    Parameters
    ----------
    log
        Takes what was not found or cannot be read (kind ``image``), and what of a file cannot
        (``incomplete``).
    compartment
        Decides between overlays, as it does for crops.

    Raises
    ------
    ConfigurationError
        If a folder cannot be listed, or a pattern cannot be used.
    MeasurementError
        If a LoadData file cannot be used.
    StoreError
        If an object store cannot be read.
    """
    sets = tuple(image_sets)
    plate = _Plate(sources, sets, compartment)
    for found, rejections in ordered_map(plate.of_set, sets, sources.dataset.images.workers):
        yield from found
        for rejection in rejections:
            log.add(rejection)


class _Plate:
    """Finds and scans the files of one image set after the other."""

    def __init__(self, sources: PlateSources, sets: tuple[ImageSet, ...], compartment: str) -> None:
        self._images = ImageResolver(sources, sets)
        self._overlays = OverlayFinder(sources, sets, compartment, self._images)
        self._scan = lru_cache(_SCANS_KEPT)(_scanned)

    def of_set(self, image_set: ImageSet) -> tuple[list[PlateImage], list[Rejection]]:
        """The arrays of an image set's files, and what could not be used."""
        found: list[PlateImage] = []
        rejections: list[Rejection] = []
        overlays: dict[Place, AssetKeys] = {}
        for file in (*image_set.channels, *image_set.others):
            image = self._images.resolve(image_set, file)
            if isinstance(image, UnresolvedImage):
                rejections.append(
                    image_set.rejection(
                        "image",
                        image.reason,
                        image.detail,
                        channel=file.channel,
                        source_file=image.original,
                    )
                )
                continue
            arrays, faults = self._arrays(image_set, image.path, file.channel)
            found += [
                PlateImage(one, _image_keys(image_set, file, one), image.path) for one in arrays
            ]
            rejections += faults
            overlays |= self._overlays_of(image_set, file, image)
        for path, keys in overlays.items():
            arrays, faults = self._arrays(image_set, path)
            found += [PlateImage(one, keys, path) for one in arrays]
            rejections += faults
        return found, rejections

    def _overlays_of(
        self, image_set: ImageSet, file: ChannelFile, image: ResolvedImage
    ) -> dict[Place, AssetKeys]:
        # What of overlays cannot be used is in the books of the crops.
        matches = {
            kind: self._overlays.find(kind, image_set, file, image.relative)
            for kind in OVERLAY_KINDS
        }
        place = (image_set.image_id, image_set.well_id, image_set.site_id)
        return {
            match.path: AssetKeys(*place, kind=kind)
            for kind, match in matches.items()
            if match.path is not None
        }

    def _arrays(
        self, image_set: ImageSet, path: Place, channel: str | None = None
    ) -> tuple[tuple[ImageAsset, ...], list[Rejection]]:
        told = partial(image_set.rejection, "image", channel=channel, source_file=str(path))
        scanned = self._scan(path)
        if isinstance(scanned, ImageReadError):
            return (), [told(reason="unreadable_image", detail=str(scanned))]
        faults = [
            told(reason="unreadable_part", detail=line, outcome="incomplete")
            for line in scanned.warnings
        ]
        return scanned.image_assets, faults


def _scanned(path: Place) -> ScanResult | ImageReadError:
    try:
        return scan_place(path, str(path))
    except ImageReadError as error:
        return error


def _image_keys(image_set: ImageSet, file: ChannelFile, asset: ImageAsset) -> AssetKeys:
    """Say what an array is to its image set; the array that is meant has the source image's id."""
    channels = 1 if asset.sizes is None else asset.sizes[1]
    is_meant = (asset.series or 0) == (file.series or 0) and not asset.level
    # Of a file of several channels each is a source image of its own.
    own = source_image_id(image_set.image_id, file.channel, file.file_name)
    return AssetKeys(
        image_id=image_set.image_id,
        well_id=image_set.well_id,
        site_id=image_set.site_id,
        metadata_image_id=own if is_meant and channels == 1 else None,
        source_image_column=f"Image_FileName_{file.channel}",
        channel=file.channel,
    )
