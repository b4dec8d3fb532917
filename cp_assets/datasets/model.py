"""The dataset model: what a user describes, and what is found of it on a disk or in a store."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cp_assets.datasets.identity import PlateKey
    from cp_assets.rejections import Rejection
    from cp_assets.stores import Place

from cp_assets.datasets.identity import normalise_site, normalise_well
from cp_assets.datasets.presets import CELLPROFILER_CSV, Preset
from cp_assets.errors import ConfigurationError, MeasurementError

Layout = Literal["cell-painting-gallery", "cellprofiler"]

Measurements = Literal["automatic", "analysis", "backend"]
"""Which of the gallery's ``workspace`` folders is read: ``automatic`` is analysis where the plate
has it, else backend."""

Border = Literal["clip", "zero", "edge", "reflect"]
"""What a crop that reaches over the image's edge holds there: nothing (``clip``, it is smaller),
zeros, the nearest pixel, or the crop's own pixels mirrored without repeating the outermost."""

MIN_MEMORY = 64 * 2**20
MAX_EDGE = 2**16
"""Most pixels of padding, or of a window's edge."""

_MAX_ZSTD = 22


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """How images, masks and outlines of a dataset are found and cut.

    Attributes
    ----------
    include_source_images
        Also write whole source images to ``images.source_images``.
    channels
        Channels to crop, by CellProfiler's names; None for every source image of the Image table.
    path_prefix_map
        Prefix of a path as the Image table or LoadData records it -> the prefix where it lies now.
    bbox_column_map
        ``x_min``, ``y_min``, ``x_max``, ``y_max`` -> column of the joined profiles; None to search.
    segmentation_file_regex
        Pattern of a mask or outline file's name -> pattern of the source image's file name.
    follow_links
        Use images behind symbolic links that lead out of the folders given; else they are rejected.
    wells, sites
        Crop and keep images of these only, in any spelling (``a1``); None for all.
    box_compartment
        Whose box is cut, such as ``Nuclei``; None for the largest of Cells, Cytoplasm, Nuclei.
    padding
        Pixels added on each side of the box.
    crop_size
        Height and width, pixels, of a window around the box's centre, in place of the box: it
        begins at ``(minimum + maximum - crop_size) // 2``.
    border
        What lies over the image's edge where padding or crop_size reach there.
    zstd_level
        Parquet compression of the pixels, 1 to 22; None to leave them uncompressed.
    workers
        Image sets decoded at the same time.
    max_memory
        Most bytes of pixels held at a time, decoded or cut and not yet written.

    Raises
    ------
    ConfigurationError
        If a value cannot be.
    """

    include_source_images: bool = False
    channels: tuple[str, ...] | None = None
    path_prefix_map: Mapping[str, str | Place] = field(default_factory=dict)
    bbox_column_map: Mapping[str, str] | None = None
    segmentation_file_regex: Mapping[str, str] | None = None
    follow_links: bool = False
    wells: tuple[str, ...] | None = None
    sites: tuple[str, ...] | None = None
    box_compartment: str | None = None
    padding: int = 0
    crop_size: int | None = None
    border: Border = "clip"
    zstd_level: int | None = 1
    workers: int = 2
    max_memory: int = 512 * 2**20

    @property
    def shaping(self) -> dict[str, object]:
        """The options that the rows depend on, or how they are stored."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        for name in ("include_source_images", "workers", "max_memory"):
            del given[name]
        return given

    def takes(self, well: str | None, site: str | None) -> bool:
        """Whether images of a well and site, both normalised, are wanted."""
        return (self.wells is None or well in self._wells) and (
            self.sites is None or site in self._sites
        )

    @cached_property
    def _wells(self) -> frozenset[str]:
        return frozenset(normalise_well(one) or one for one in self.wells or ())

    @cached_property
    def _sites(self) -> frozenset[str]:
        return frozenset(normalise_site(one) or one for one in self.sites or ())

    def __post_init__(self) -> None:
        held = {
            "workers is 1 or more": _is_whole(self.workers, 1),
            f"padding is 0 to {MAX_EDGE}": _is_whole(self.padding, 0, MAX_EDGE),
            f"crop_size is 1 to {MAX_EDGE}": self.crop_size is None
            or _is_whole(self.crop_size, 1, MAX_EDGE),
            "padding and crop_size are not both given": not (self.padding and self.crop_size),
            "border is clip, zero, edge or reflect": self.border in get_args(Border),
            "zstd_level is 1 to 22": self.zstd_level is None
            or _is_whole(self.zstd_level, 1, _MAX_ZSTD),
            "max_memory is 64 MiB or more": _is_whole(self.max_memory, MIN_MEMORY),
        }
        broken = [rule for rule, holds in held.items() if not holds]
        if broken:
            msg = f"image options: expected that {', and that '.join(broken)}"
            raise ConfigurationError(msg)


def _is_whole(value: object, low: int, high: float = float("inf")) -> bool:
    return isinstance(value, int) and low <= value <= high


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One source of one project, as the user describes it.

    Attributes
    ----------
    dataset_id
        Name of the dataset, such as ``cpg0016-jump/source_4``.
    root
        Layout ``cell-painting-gallery``: the folder that holds ``images`` and ``workspace``.
        Layout ``cellprofiler``: the folder of measurement files.
    file
        Layout ``cellprofiler``: the one file in ``root`` that is read, and nothing beside it; None
        for all.
    batch_id, plate_id
        Given names for the layout ``cellprofiler``; the gallery's folders name them themselves.
    anchor
        The compartment of which one object is one row of the joined profiles; None for Cells where
        there are any.
    column_types
        Column -> ``float``, ``int`` or ``string`` where the rule by name is wrong.
    annotations
        CSV, TSV or Parquet files with a column of wells, of plates or of both, whose other columns
        the joined profiles get as ``Metadata_...``.
    image_columns
        Patterns of the Image table's columns that joined rows get, such as ``Count_*``; None for
        all.
    drop_empty_rows
        Whether joined rows are left out of which nothing was measured.
    parents
        Compartment -> columns that name its objects as parents, after ``Parent_<compartment>``.
    preset
        The dialect of its tables; None to find it.
    presets
        Dialects to be tried before the shipped ones.
    measurements
        Which folder of a gallery's ``workspace`` is read.
    config_file
        The ``cp_assets.yaml`` that describes the dataset, or None.
    """

    dataset_id: str
    root: Place
    layout: Layout = "cell-painting-gallery"
    file: Place | None = None
    batch_id: str | None = None
    plate_id: str | None = None
    image_dir: Place | None = None
    mask_dir: Place | None = None
    outline_dir: Place | None = None
    images: ImageOptions = field(default_factory=ImageOptions)
    anchor: str | None = None
    compartments: tuple[str, ...] | None = None
    column_types: Mapping[str, str] = field(default_factory=dict)
    annotations: tuple[Place, ...] = ()
    image_columns: tuple[str, ...] | None = None
    drop_empty_rows: bool = False
    parents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    preset: Preset | None = None
    presets: tuple[Preset, ...] = ()
    measurements: Measurements = "automatic"
    recipe_permalink: str | None = None
    config_permalink: str | None = None
    config_file: Path | None = None


@dataclass(frozen=True)
class TableFile:
    """Where a table lies.

    Attributes
    ----------
    table
        Its name in the database, or the compartment's in a file of all; None for a file of its
        own.
    beside
        The other compartments that the same table holds.
    """

    path: Place
    table: str | None = None
    beside: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name, and the table's: ``plate.sqlite:Per_Cells``, ``object.csv:Cells``."""
        return self.path.name if self.table is None else f"{self.path.name}:{self.table}"


@dataclass(frozen=True)
class MeasurementFolder:
    """An Image table and a table for each compartment, in one folder or one database.

    Attributes
    ----------
    relative
        The folder below the dataset's root, with ``/``; empty for the root itself. Where a folder
        holds several databases, each is named like a folder in it.
    well, site
        From the folder's name, or None where it does not say.
    is_named_so
        Whether well and site are behind the plate's own name. Else they only count where the tables
        and LoadData say neither.
    tables
        Compartment (``Image``, ``Cells``, ...) -> where its table lies.
    preset
        The dialect of the tables.
    fault
        Why the tables cannot be read, with what to do; None where nothing speaks against it.
    """

    path: Place
    relative: str
    well: str | None
    site: str | None
    tables: Mapping[str, TableFile]
    preset: Preset = CELLPROFILER_CSV
    fault: str | None = None
    is_named_so: bool = True

    def relative_file(self, compartment: str) -> str:
        """The compartment's file, and table, below the dataset's root, with ``/``."""
        table = self.tables[compartment]
        # A database that is named like a folder is not named twice.
        parent = self.relative.removesuffix(table.path.name).rstrip("/")
        return f"{parent}/{table.name}" if parent else table.name


@dataclass(frozen=True)
class PlateSources:
    """All that lies on disk, or in a store, of one plate.

    Attributes
    ----------
    folders
        Measurement folders, in the order of well, site and name.
    image_dir
        Folder below which the plate's images lie, or None if the dataset has no images.
    mask_dir, outline_dir
        Folders below which overlays lie. In the gallery's layout None: the overlays lie in
        ``masks`` and ``outlines`` of each measurement folder.
    load_data
        LoadData CSV files of the plate, the plain one first.
    image_plate
        Where one folder holds several plates: the ``Metadata_Plate`` whose rows are this plate's.
    choice
        Which dialect is read, from where, and why, for people.
    siblings
        Names of the other plates beside it: an image in a folder named after one of them is not
        this plate's, whatever its base name.
    left_out
        Measured files that lie where the plate's do and cannot be read as such, for the books.
    """

    dataset: Dataset
    key: PlateKey
    folders: tuple[MeasurementFolder, ...]
    image_dir: Place | None = None
    mask_dir: Place | None = None
    outline_dir: Place | None = None
    load_data: tuple[Place, ...] = ()
    image_plate: str | None = None
    siblings: tuple[str, ...] = ()
    choice: str = ""
    left_out: tuple[Rejection, ...] = ()

    def refuse_faults(self) -> None:
        """Refuse a plate with a folder whose tables cannot be read.

        Raises
        ------
        MeasurementError
            With the fault of the first such folder.
        """
        for folder in self.folders:
            if folder.fault is not None:
                msg = f"{folder.path}: {folder.fault}"
                raise MeasurementError(msg)
