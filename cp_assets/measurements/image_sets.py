"""Which image set a row belongs to: plate, well, site - never ImageNumber alone.

ImageNumber restarts in every folder, and in a merged table with each TableNumber. An image set is
known by its well and site, taken from the folder's name, the Image table or LoadData, in that
order; where they disagree, the image set is rejected. The name of a folder that does not begin with
the plate's counts only where the others say nothing. Where well and site do not tell image sets
apart (unknown, or several times in one Image table), the folder below the dataset, the TableNumber
and the ImageNumber do.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cp_assets.datasets.identity import (
    PLATE_COLUMNS,
    WELL_ROWS,
    normalise_site,
    normalise_well,
    plate_name,
    row_letters,
    site_sort_key,
    well_sort_key,
    without_point,
)
from cp_assets.datasets.ids import image_set_id
from cp_assets.measurements.columns import IMAGE_SET_KEYS
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from cp_assets.datasets.model import MeasurementFolder, PlateSources

WELL_COLUMNS = ("Metadata_Well", "Metadata_well", "Metadata_WellID", "Metadata_Well_ID")
SITE_COLUMNS = (
    "Metadata_Site",
    "Metadata_site",
    "Metadata_Field",
    "Metadata_FieldID",
    "Metadata_FOV",
)

SortKey = tuple[int, tuple[int, int, str], tuple[int, int, str], int, int]
"""Order of image sets in a plate: folder, well, site, TableNumber, ImageNumber."""

_NO_TABLE = -1


class ImageSetKey(NamedTuple):
    """What tells an image set from the others of its folder.

    Attributes
    ----------
    table
        The TableNumber of a merged table; None where there is none.
    """

    table: int | None
    image: int

    def __str__(self) -> str:
        table = "" if self.table is None else f"TableNumber {self.table}, "
        return f"{table}ImageNumber {self.image}"

    @property
    def path(self) -> str:
        """The key as part of an id."""
        return f"{self.image}" if self.table is None else f"{self.table}/{self.image}"


@dataclass(frozen=True)
class ImageSetIdentity:
    """One image set: who it is, and where it stands in the plate's order."""

    key: ImageSetKey
    well_id: str | None
    site_id: str | None
    image_id: str
    order: SortKey


@dataclass(frozen=True)
class FolderIdentities:
    """The image sets of one measurement folder, by their keys.

    Attributes
    ----------
    whole_folder
        The image set of every key, where the folder's name alone says which it is.
    others
        Keys of other plates that share the folder; their rows are not this plate's.
    rejections
        Image sets whose identity is contradictory.
    """

    by_key: Mapping[ImageSetKey, ImageSetIdentity]
    whole_folder: ImageSetIdentity | None
    others: frozenset[ImageSetKey]
    rejections: tuple[Rejection, ...]

    def of(self, key: ImageSetKey) -> ImageSetIdentity | None:
        """The image set of a key, or None if nothing identifies it."""
        return self.by_key.get(key, self.whole_folder)


def sort_key(rank: int, well: str | None, site: str | None, key: ImageSetKey) -> SortKey:
    """Order of an image set in its plate; ``rank`` is its folder's in `PlateSources.folders`."""
    table = _NO_TABLE if key.table is None else key.table
    return (rank, well_sort_key(well), site_sort_key(site), table, key.image)


def identify_image_sets(
    sources: PlateSources,
    rank: int,
    image_rows: pa.Table,
    load_data: Mapping[tuple[str, str], tuple[str | None, str | None]],
) -> FolderIdentities:
    """Identify the image sets of a folder from its Image table.

    Parameters
    ----------
    rank
        The folder's place in ``sources.folders``.
    image_rows
        Rows of the folder's Image table, at least its `identity_columns`.
    load_data
        (``FileName_...`` column, file name) -> (well, site) of the plate's LoadData.
    """
    folder = sources.folders[rank]
    found = [_Row.of(row, load_data) for row in _identity_rows(image_rows)]
    own_keys = {row.key for row in found if not _is_other(row, sources)}
    others = frozenset(row.key for row in found) - own_keys
    own = [row for row in found if row.key in own_keys]
    times = Counter(row.key for row in own)
    faults = {row.key: _fault(row, folder, sources, times[row.key]) for row in own}
    conflicts = {key: fault for key, fault in faults.items() if fault is not None}
    places = {row.key: _place(row, folder) for row in own}
    often = Counter(places.values())
    identities = {}
    for key, (well, site) in places.items():
        if key in conflicts:
            continue
        told_apart = well is not None and site is not None and often[well, site] == 1
        extra = None if told_apart else f"{folder.relative}/{key.path}"
        identities[key] = ImageSetIdentity(
            key,
            well,
            site,
            image_set_id(sources.key, well, site, extra),
            sort_key(rank, well, site, key),
        )
    return FolderIdentities(
        identities,
        None if found else _by_folder_name(sources, folder, rank),
        others,
        tuple(conflicts.values()),
    )


@dataclass(frozen=True)
class _Row:
    key: ImageSetKey
    plate: str | None
    well_text: str | None
    well: str | None
    site: str | None

    @classmethod
    def of(
        cls,
        row: Mapping[str, object],
        load_data: Mapping[tuple[str, str], tuple[str | None, str | None]],
    ) -> _Row:
        text = {name: str(value) for name, value in row.items() if value is not None}
        plate_column = next((name for name in PLATE_COLUMNS if name in row), "")
        well_text = next((text[name] for name in WELL_COLUMNS if name in text), None)
        if well_text is None:
            well_text = _well_of_row_and_column(text)
        site = next((text[name] for name in SITE_COLUMNS if name in text), None)
        loaded = next((load_data[item] for item in text.items() if item in load_data), (None, None))
        table = text.get("TableNumber")
        return cls(
            key=ImageSetKey(None if table is None else int(table), int(text["ImageNumber"])),
            plate=plate_name(text.get(plate_column, "")),
            well_text=well_text,
            well=normalise_well(well_text) if well_text else loaded[0],
            site=normalise_site(site) if site else loaded[1],
        )


def identity_columns(names: Iterable[str]) -> list[str]:
    """The columns of an Image table that may say which image set a row is."""
    known = ("Metadata_", "FileName_")
    return [name for name in names if name in IMAGE_SET_KEYS or name.startswith(known)]


def _identity_rows(image_rows: pa.Table) -> list[dict[str, object]]:
    wanted = identity_columns(image_rows.column_names)
    rows: list[dict[str, object]] = image_rows.select(wanted).to_pylist()
    return rows


def _well_of_row_and_column(text: Mapping[str, str]) -> str | None:
    """Well of ``Metadata_Row`` and ``Metadata_Col``, as letters or as numbers from 1."""
    row, column = text.get("Metadata_Row"), text.get("Metadata_Col") or text.get("Metadata_Column")
    if row is None or column is None:
        return None
    row, column = without_point(row), without_point(column)
    if row.isdecimal() and 1 <= int(row) <= WELL_ROWS:
        row = row_letters(int(row) - 1)
    return normalise_well(f"{row}{column}")


def _is_other(row: _Row, sources: PlateSources) -> bool:
    """Whether a row names another plate; one that names none may belong to any."""
    return None not in (sources.image_plate, row.plate) and row.plate != sources.image_plate


def _fault(
    row: _Row, folder: MeasurementFolder, sources: PlateSources, times: int
) -> Rejection | None:
    """Why an image set's identity cannot be trusted, or None if it can."""
    if times > 1:
        return _rejection(row, folder, "duplicate_key", f"it is in the Image table {times} times")
    if row.plate is None and sources.image_plate is not None:
        detail = "it names no plate in an Image table of several plates"
        return _rejection(row, folder, "no_plate", detail)
    contradiction = _contradiction(row, folder)
    if contradiction is None:
        return None
    return _rejection(row, folder, "identity_conflict", contradiction)


def _place(row: _Row, folder: MeasurementFolder) -> tuple[str | None, str | None]:
    """Well and site of an image set."""
    if folder.is_named_so:
        return folder.well or row.well, folder.site or row.site
    says_nothing = not row.well_text and row.well is None and row.site is None
    return (folder.well, folder.site) if says_nothing else (row.well, row.site)


def _contradiction(row: _Row, folder: MeasurementFolder) -> str | None:
    if row.well_text and row.well is None and (folder.well is None or not folder.is_named_so):
        return f"well {row.well_text!r} is no well of a plate up to 1536 wells (A01 to AF48)"
    if not folder.is_named_so:
        return None
    if folder.well and row.well and folder.well != row.well:
        return f"the Image table says well {row.well}, the folder's name {folder.well}"
    if folder.site and row.site and folder.site != row.site:
        return f"the Image table says site {row.site}, the folder's name {folder.site}"
    return None


def _rejection(row: _Row, folder: MeasurementFolder, reason: str, detail: str) -> Rejection:
    well, site = _place(row, folder)
    return Rejection(
        kind="image",
        reason=reason,
        detail=(f"{row.key}: {detail}; its rows are left out. Mend the name or the table"),
        compartment="Image",
        well_id=well,
        site_id=site,
        source_file=folder.relative_file("Image"),
    )


def _by_folder_name(
    sources: PlateSources, folder: MeasurementFolder, rank: int
) -> ImageSetIdentity | None:
    """The image set of a folder ``<plate>-<well>-<site>`` whose Image table has no row."""
    if folder.well is None or folder.site is None:
        return None
    key = ImageSetKey(None, 0)
    return ImageSetIdentity(
        key,
        folder.well,
        folder.site,
        image_set_id(sources.key, folder.well, folder.site, None),
        sort_key(rank, folder.well, folder.site, key),
    )
