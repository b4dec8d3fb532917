"""`convert`: measurements and images into a warehouse, in one call, without Dagster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from cp_assets.building import STEPS, PlateBuild, build_table
from cp_assets.datasets import (
    Border,
    Dataset,
    ImageOptions,
    Layout,
    Measurements,
    PlateKey,
    PlateSources,
    Preset,
    choose_preset,
    dataset_from_folder,
    find_plates,
)
from cp_assets.datasets.config import read_configuration
from cp_assets.datasets.metadata_files import named_files
from cp_assets.datasets.unread import unread_measurements
from cp_assets.errors import ConfigurationError, CpAssetsError, PlatesFailedError, one_line
from cp_assets.stores import Place, StoreSettings, place
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_MEASUREMENTS = ", ".join(get_args(Measurements))
_WITHOUT_JOIN = ("raw_measurements", "manifest")

Report = Callable[[PlateKey, PlateBuild], None]


def convert(  # noqa: PLR0913 - the public contract: one call, every option by name
    source: str | Place,
    warehouse: str | Path | Warehouse,
    *,
    image_dir: str | Place | None = None,
    mask_dir: str | Place | None = None,
    outline_dir: str | Place | None = None,
    include_source_images: bool = ImageOptions.include_source_images,
    bbox_column_map: Mapping[str, str] | None = ImageOptions.bbox_column_map,
    segmentation_file_regex: Mapping[str, str] | None = ImageOptions.segmentation_file_regex,
    path_prefix_map: Mapping[str, str | Place] | None = None,
    annotations: Iterable[str | Place] = (),
    channels: tuple[str, ...] | None = ImageOptions.channels,
    preset: str | Preset | None = None,
    measurements: Measurements = Dataset.measurements,
    layout: Layout | None = None,
    dataset_id: str | None = None,
    batch_id: str | None = None,
    plate_id: str | None = None,
    wells: tuple[str, ...] | None = ImageOptions.wells,
    sites: tuple[str, ...] | None = ImageOptions.sites,
    box_compartment: str | None = ImageOptions.box_compartment,
    padding: int = ImageOptions.padding,
    crop_size: int | None = ImageOptions.crop_size,
    border: Border = ImageOptions.border,
    zstd_level: int | None = ImageOptions.zstd_level,
    follow_links: bool = ImageOptions.follow_links,
    join: bool = True,
    workers: int = ImageOptions.workers,
    max_memory: int = ImageOptions.max_memory,
    stores: StoreSettings | None = None,
    force: bool = False,
    fail_fast: bool = False,
    report: Report | None = None,
) -> Warehouse:
    """Convert CellProfiler's output, with its images, into an Iceberg warehouse.

    Running it again over the same inputs changes nothing.

    Parameters
    ----------
    source
        A folder of measurement files, a folder of such folders, a Cell Painting Gallery prefix
        ``<project>/<source>`` (found by its ``workspace``), or one file that holds all tables: an
        SQLite database, CellProfiler's one CSV (``object.csv``), an export of IN Carta, a site of
        DeepProfiler. What lies beside such a file is not read. Here and below, a path or a URL
        (``s3://``, ``gs://``, ``az://``).
    warehouse
        A folder, the name of a configured PyIceberg catalog, or an open warehouse.
    image_dir, mask_dir, outline_dir
        Folders below which images, masks and outlines lie. A gallery prefix has its own.
    include_source_images
        Also write whole images to ``images.source_images``.
    bbox_column_map
        ``x_min``, ``x_max``, ``y_min``, ``y_max`` -> column of the joined profiles, where the
        columns that CellProfiler writes are not the ones to use.
    segmentation_file_regex
        Pattern of a mask's or outline's file name -> pattern of the source image's file name.
    path_prefix_map
        Prefix of the paths in Image.csv or LoadData -> where the files lie now.
    annotations
        CSV, TSV or Parquet files with a column of wells, of plates or of both: their other columns
        join the profiles as ``Metadata_...``. A gallery prefix has its own plate maps.
    channels
        Channels to crop, by CellProfiler's names; all by default.
    wells, sites
        Crop these only, in any spelling; all by default.
    box_compartment, padding, crop_size, border
        What is cut: the compartment's box, widened by pixels, or a square around its centre; and
        what lies over the image's edge. See `cp_assets.datasets.ImageOptions`.
    zstd_level
        Compression of the pixels, 1 to 22; None to leave them uncompressed.
    follow_links
        Use images behind symbolic links that lead out of the folders given.
    preset
        The dialect of the measurement tables: the name of a shipped one (`SHIPPED`), or a
        `cp_assets.datasets.Preset`; None to find it.
    measurements
        Of a gallery prefix: ``analysis``, ``backend``, or ``automatic`` for analysis where the
        plate has it.
    dataset_id, batch_id, plate_id
        Identity of the plate; by default the source folder's name (of a file, the folder that it
        lies in), ``unbatched``, and what the Image table says, else the source's own name. A
        gallery prefix names batches and plates itself.
    join
        False to keep measurements as they are, without joined profiles.
    workers
        Image sets decoded at the same time.
    max_memory
        Most bytes of pixels held at a time.
    stores
        How object stores are reached; None for what ``cp_assets.yaml`` says, where there is one.
    force
        Write even what is unchanged.
    fail_fast
        Stop at the first plate that cannot be converted, with its own error.
    report
        Called after each table of each plate.

    Returns
    -------
    Warehouse
        The warehouse, open.

    Raises
    ------
    ConfigurationError
        If options contradict each other.
    PlatesFailedError
        If some of several plates cannot be converted: names each with its error, when the others
        are done.
    CpAssetsError
        If the only plate, or with ``fail_fast`` the first, cannot be converted.
    """
    annotations = tuple(annotations)
    given = (
        source,
        image_dir,
        mask_dir,
        outline_dir,
        *annotations,
        *(path_prefix_map or {}).values(),
    )
    places = _Places(_stores(given) if stores is None else stores)
    images = ImageOptions(
        include_source_images=include_source_images,
        channels=channels,
        path_prefix_map=places.mapped(path_prefix_map or {}),
        bbox_column_map=bbox_column_map,
        segmentation_file_regex=segmentation_file_regex,
        follow_links=follow_links,
        wells=wells,
        sites=sites,
        box_compartment=box_compartment,
        padding=padding,
        crop_size=crop_size,
        border=border,
        zstd_level=zstd_level,
        workers=workers,
        max_memory=max_memory,
    )
    dataset = dataset_from_folder(
        places.of(source),
        dataset_id=dataset_id,
        layout=layout,
        batch_id=batch_id,
        plate_id=plate_id,
        image_dir=places.folder("image_dir", image_dir),
        mask_dir=places.folder("mask_dir", mask_dir),
        outline_dir=places.folder("outline_dir", outline_dir),
        images=images,
        annotations=tuple(places.of(one) for one in annotations),
        preset=choose_preset(preset) if isinstance(preset, str) else preset,
        measurements=measurements,
    )
    _check(dataset, join=join)
    plates = find_plates(dataset)
    for line in unread_measurements(dataset, plates.values()):
        logger.warning("%s", line)
    opened = (
        warehouse if isinstance(warehouse, Warehouse) else open_warehouse(warehouse, create=True)
    )
    names = tuple(STEPS) if join else _WITHOUT_JOIN
    builder = _Builder(warehouse=opened, names=names, force=force, report=report)
    builder.build(plates, fail_fast=fail_fast)
    return opened


@dataclass(frozen=True, kw_only=True)
class _Builder:
    """What is built of each plate, and where."""

    warehouse: Warehouse
    names: tuple[str, ...]
    force: bool
    report: Report | None

    def build(self, plates: Mapping[PlateKey, PlateSources], *, fail_fast: bool) -> None:
        """Build plates in order; one that fails does not stop the others, unless it shall."""
        failed: dict[str, Exception] = {}
        for key, sources in plates.items():
            error = self._failure(sources)
            if error is None:
                continue
            if fail_fast or len(plates) == 1:
                raise error
            failed[str(key)] = error
            # Of a fault of ours, where it is too.
            is_told = isinstance(error, (CpAssetsError, OSError))
            logger.error("%s failed: %s", key, one_line(error), exc_info=None if is_told else error)
        if failed:
            done = "the others are built" if len(failed) < len(plates) else "none is built"
            summary = f"{len(failed)} of {len(plates)} plates failed, {done}:"
            raise PlatesFailedError(summary, failed) from next(iter(failed.values()))

    def _failure(self, sources: PlateSources) -> Exception | None:
        """Build a plate's tables in order; the error of the first that cannot be, or None."""
        for name in self.names:
            try:
                build = _build_step(self.warehouse, sources, name, force=self.force)
            except Exception as error:  # noqa: BLE001 - whatever it is, others go on
                return error
            # Outside: an error of the caller's own report is no plate's.
            if self.report is not None:
                self.report(sources.key, build)
        return None


def build_plate(
    warehouse: Warehouse,
    sources: PlateSources,
    *,
    names: tuple[str, ...] = tuple(STEPS),
    force: bool = False,
) -> dict[str, PlateBuild]:
    """Build a plate's tables in order.

    Parameters
    ----------
    names
        Steps to run, of `cp_assets.building.STEPS`.

    Raises
    ------
    CpAssetsError
        If a table cannot be built; those before it are.
    """
    return {name: _build_step(warehouse, sources, name, force=force) for name in names}


def _build_step(
    warehouse: Warehouse, sources: PlateSources, name: str, *, force: bool
) -> PlateBuild:
    build = build_table(warehouse, STEPS[name](sources, warehouse), force=force)
    logger.info("%s %s: %s, %d rows", sources.key, build.table, build.state, build.rows)
    return build


def _stores(given: Iterable[str | Place | None]) -> StoreSettings:
    """How ``cp_assets.yaml`` says that stores are reached; it is not read where none is named."""
    if any(isinstance(one, str) and "://" in one for one in given):
        return read_configuration().stores
    return StoreSettings()


@dataclass(frozen=True)
class _Places:
    """Reads what a call says of places."""

    stores: StoreSettings

    def of(self, given: str | Place) -> Place:
        return place(given, self.stores)

    def folder(self, option: str, given: str | Place | None) -> Place | None:
        if given is None:
            return None
        folder = self.of(given)
        if not folder.is_dir():
            msg = (
                f"{option}: {folder} is not a folder; expected the folder below which the files lie"
            )
            raise ConfigurationError(msg)
        return folder

    def mapped(self, prefixes: Mapping[str, str | Place]) -> dict[str, str | Place]:
        """Prefixes with the places of URLs; a folder stays as it stands."""
        return {
            recorded: self.of(here) if isinstance(here, str) and "://" in here else here
            for recorded, here in prefixes.items()
        }


def _check(dataset: Dataset, *, join: bool) -> None:
    """Refuse options that contradict each other, each with what to do."""
    named_files(dataset)
    _check_layout(dataset)
    _check_images(dataset, join=join)


def _check_layout(dataset: Dataset) -> None:
    """Refuse what a gallery prefix says itself, and what only a gallery prefix has."""
    if dataset.measurements not in get_args(Measurements):
        msg = f"measurements is {dataset.measurements!r}: expected {_MEASUREMENTS}"
        raise ConfigurationError(msg)
    in_gallery = dataset.layout == "cell-painting-gallery"
    if dataset.measurements != Dataset.measurements and not in_gallery:
        msg = (
            f"measurements chooses between the folders of a gallery prefix's workspace, and "
            f"{dataset.root} is none; leave it out, or name the prefix"
        )
        raise ConfigurationError(msg)
    if in_gallery and (dataset.batch_id or dataset.plate_id):
        msg = (
            f"{dataset.root} is a gallery prefix, which names its batches and plates itself; leave "
            "batch_id and plate_id out"
        )
        raise ConfigurationError(msg)


def _check_images(dataset: Dataset, *, join: bool) -> None:
    """Refuse options of images where there are none, or nothing that they are cut by."""
    if not join and dataset.image_dir is not None:
        msg = (
            "images need the join: crops are cut by the joined profiles' boxes; leave join=True, "
            "or leave image_dir out"
        )
        raise ConfigurationError(msg)
    ancillary = {
        "mask_dir": dataset.mask_dir,
        "outline_dir": dataset.outline_dir,
        "include_source_images": dataset.images.include_source_images or None,
        "segmentation_file_regex": dataset.images.segmentation_file_regex,
        "channels": dataset.images.channels,
    }
    given = [name for name, value in ancillary.items() if value is not None]
    if given and dataset.image_dir is None and dataset.layout != "cell-painting-gallery":
        msg = (
            f"{given[0]} was given without image_dir; give the folder below which the source "
            "images lie"
        )
        raise ConfigurationError(msg)
