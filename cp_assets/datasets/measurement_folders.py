"""Measurement folders: folders and databases of CellProfiler's, and the tables in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.datasets.combined_header import is_combined_csv, read_combined_header
from cp_assets.datasets.databases import Database, ask_schema, is_other_programs
from cp_assets.datasets.deepprofiler_files import (
    DeepProfilerFile,
    deepprofiler_file,
    find_deepprofiler_files,
)
from cp_assets.datasets.identity import (
    site_sort_key,
    split_site_folder,
    well_sort_key,
)
from cp_assets.datasets.in_carta_names import in_carta_columns
from cp_assets.datasets.listing import Listing, existing_file, relative_path, with_subfolders
from cp_assets.datasets.model import Dataset, MeasurementFolder, TableFile
from cp_assets.datasets.presets import SHIPPED, Preset, compartment_name
from cp_assets.errors import InputChangedError, MeasurementError
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from cp_assets.datasets.presets import Container
    from cp_assets.stores import Place


_TABLES_SHOWN = 8
_MOST_FILES = 100_000


@dataclass(frozen=True)
class FoundFolders:
    """Measurement folders of one dialect, why it was chosen, and what of it cannot be read."""

    folders: tuple[MeasurementFolder, ...] = ()
    choice: str = ""
    left_out: tuple[Rejection, ...] = ()


def find_measurement_folders(dataset: Dataset, base: Place, plate: str) -> FoundFolders:
    """Measurement folders at ``base`` or one level below, in the order of well, site and name.

    DeepProfiler's files are looked for at any depth, since its folders are plates, wells and sites.

    The dialect is the dataset's, or the first that fits a folder there; of several the others are
    not read. Of a dataset of one file, no other is looked at.

    Parameters
    ----------
    dataset
        Folders are named relative to its root.
    base
        Where to look.
    plate
        The plate's name, to read wells and sites from folder names.

    A database that cannot be read is found with an Image table, so that reading it says why and
    other plates are not held up.
    """
    places = _places(dataset, base)
    broken = FoundFolders()
    for preset in presets_of(dataset):
        found = list(_found(dataset, base, places, preset, plate))
        folders = tuple(sorted((folder for folder, _ in found), key=folder_order))
        sound = [folder for folder, is_sound in found if is_sound]
        if sound:
            left_out = tuple(_left_out(dataset, base, places, folders, plate))
            return FoundFolders(folders, _choice(dataset, sound[0]), left_out)
        if found and not broken.folders:
            # Nobody knows its dialect: another may be that of the databases beside it.
            broken = FoundFolders(
                folders, f"{folders[0].tables['Image'].path.name} is not readable"
            )
    return broken


def _found(
    dataset: Dataset, base: Place, places: Sequence[Listing], preset: Preset, plate: str
) -> Iterator[tuple[MeasurementFolder, bool]]:
    """Measurement folders of one dialect, each with whether it could be read."""
    if preset.container == "deepprofiler":
        for site in _deepprofiler_sites(dataset, base, preset):
            yield site, True
        return
    if preset.container == "file" and dataset.file is not None:
        return  # One table of several is no plate.
    for place in places:
        yield from _folders(dataset.root, base, place, preset, plate)


def _left_out(
    dataset: Dataset,
    base: Place,
    places: Sequence[Listing],
    folders: Sequence[MeasurementFolder],
    plate: str,
) -> Iterator[Rejection]:
    """Files of the chosen dialect that measure something and are in no measurement folder."""
    preset = folders[0].preset
    if preset.container == "deepprofiler":
        yield from _unread_sites(dataset, base)
    if preset.container != "file":
        return
    read = {folder.path for folder in folders}
    tables = [(name, table) for folder in folders for name, table in folder.tables.items()]
    known = {preset.table_of_file(table.path.name) for name, table in tables if name != "Image"}
    image = next(table.path.name for name, table in tables if name == "Image")
    for place in (one for one in places if one.folder not in read):
        names = [path.name for path in place.files if preset.table_of_file(path.name) in known]
        if names:
            well, site = split_site_folder(place.folder.name, plate)
            yield Rejection(
                kind="file",
                reason="no_image_table",
                detail=f"{place.folder.name} has {', '.join(names)} and no {image}, which says "
                f"whose their rows are; they are left out. Add {image}, or remove the folder",
                well_id=well,
                site_id=site,
                source_file=relative_path(place.folder / names[0], dataset.root),
                count=len(names),
            )


def _unread_sites(dataset: Dataset, base: Place) -> Iterator[Rejection]:
    for one in _deepprofiler_files(dataset, base):
        if not one.is_npz:
            yield Rejection(
                kind="file",
                reason="unread_file",
                detail=f"{one.relative}: features of DeepProfiler as Parquet are not read; "
                "expected .npz. Its rows are left out",
                well_id=one.well,
                site_id=one.site,
                source_file=relative_path(one.path, dataset.root),
            )


def _deepprofiler_files(dataset: Dataset, base: Place) -> tuple[DeepProfilerFile, ...]:
    # Whoever does not name the preset may have named a whole bucket.
    most = _MOST_FILES if dataset.preset is None else None
    return find_deepprofiler_files(base, follow_links=dataset.images.follow_links, most=most)


def presets_of(dataset: Dataset) -> tuple[Preset, ...]:
    """The dialects that a dataset's tables may have, in the order in which they are tried."""
    if dataset.preset is not None:
        return (dataset.preset,)
    own = {preset.name for preset in dataset.presets}
    return (*dataset.presets, *(preset for preset in SHIPPED if preset.name not in own))


def _places(dataset: Dataset, base: Place) -> list[Listing]:
    if dataset.file is None:
        return with_subfolders(base)
    file = existing_file(dataset.file)
    return [Listing(base, (file,) if file is not None else ())]


def _folders(
    root: Place, base: Place, place: Listing, preset: Preset, plate: str
) -> Iterator[tuple[MeasurementFolder, bool]]:
    """Measurement folders of a place, each with whether it could be read."""
    well, site = (
        split_site_folder(place.folder.name, plate) if place.folder != base else (None, None)
    )
    below = relative_path(place.folder, root)
    relative = "" if below == "." else below
    if preset.container == "file":
        files = _files_by_table(place, preset)
        tables = _tables_of_files(files, preset)
        if tables:
            fault = _fault_of_files(files, tables, preset)
            found = MeasurementFolder(place.folder, relative, well, site, tables, preset, fault)
            yield found, True
        return
    whole = list(_files_of_all_tables(place, preset))
    for path, tables, fault in whole:
        # Image sets of two files must not be taken for the same.
        own = f"{relative}/{path.name}".lstrip("/") if len(whole) > 1 else relative
        found = MeasurementFolder(place.folder, own, well, site, tables, preset, fault)
        yield found, fault is None


def tables_of_any_dialect(
    dataset: Dataset, folder: Place, files: tuple[Place, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name of a dialect and of its tables among files of a folder, each file once."""
    taken: set[Place] = set()
    for preset in presets_of(dataset):
        place = Listing(folder, tuple(path for path in files if path not in taken))
        if preset.container == "deepprofiler":
            sites = (path for path in place.files if path.name.lower().endswith(".npz"))
            found = [[TableFile(one)] for one in sites if deepprofiler_file(folder, one.name)]
        else:
            some = _folders(dataset.root, folder, place, preset, "")
            found = [list(one.tables.values()) for one, _ in some]
        for tables in found:
            taken |= {table.path for table in tables}
            yield preset.name, tuple(table.name for table in tables)


def _deepprofiler_sites(
    dataset: Dataset, base: Place, preset: Preset
) -> Iterator[MeasurementFolder]:
    """Each file as a folder of its own: it is one image set."""
    if dataset.file is not None:
        file = existing_file(dataset.file)
        found = [deepprofiler_file(dataset.root, dataset.file.name, file)]
    else:
        found = [*_deepprofiler_files(dataset, base)]
    for one in found:
        if one is not None and one.is_npz:
            relative = relative_path(one.path, dataset.root)
            tables = {name: TableFile(one.path, name) for name in ("Image", preset.compartment)}
            yield MeasurementFolder(one.path.parent, relative, one.well, one.site, tables, preset)


def _files_by_table(place: Listing, preset: Preset) -> dict[str, list[Place]]:
    """Name of a table -> its files: of the preferred ending, of which there should be one."""
    by_name: dict[str, list[Place]] = {}
    for ending in reversed(preset.endings):
        of_ending: dict[str, list[Place]] = {}
        for path in place.files:
            name = preset.table_of_file(path.name)
            if name is not None and path.name.lower().endswith(ending.lower()):
                of_ending.setdefault(name, []).append(path)
        by_name |= of_ending
    return by_name


def _tables_of_files(files: Mapping[str, list[Place]], preset: Preset) -> dict[str, TableFile]:
    tables = preset.tables(files)
    return {compartment: TableFile(files[name][0]) for compartment, name in tables.items()}


def _fault_of_files(
    files: Mapping[str, list[Place]], tables: Mapping[str, TableFile], preset: Preset
) -> str | None:
    """Why the tables of a folder of files cannot be read, or None."""
    used = [table.path for table in tables.values()]
    several = next((some for some in files.values() if len(some) > 1 and some[0] in used), None)
    if several is not None:
        told = " and ".join(path.name for path in several)
        return f"{told} are the same table; expected one of them. Remove or rename the other"
    faults = map(_no_file, used)
    return preset.ambiguity(files) or next((one for one in faults if one is not None), None)


def _no_file(path: Place) -> str | None:
    """Why a path is none of a file, or None if it is."""
    if path.is_file():
        return None
    what = "a folder" if path.is_dir() else "a link that leads to no file"
    return f"{path.name} is {what}; expected a file of measurements. Mend or remove it"


def _files_of_all_tables(
    place: Listing, preset: Preset
) -> Iterator[tuple[Place, dict[str, TableFile], str | None]]:
    """Files of a place, their tables, and why they cannot be read or None."""
    of_file = _TABLES_OF_FILE[preset.container]
    for path in place.files:
        if preset.table_of_file(path.name) is None or path.is_dir():
            continue
        fault = _no_file(path)
        tables = {"Image": TableFile(path, "Image")}
        try:
            tables = tables if fault else of_file(path, preset)
        except (MeasurementError, InputChangedError) as error:
            # Other programs have files of this ending too, such as Thumbs.db.
            if is_other_programs(path):
                continue
            fault = str(error)
        if tables:
            yield path, tables, fault


def _combined_tables(path: Place, preset: Preset) -> dict[str, TableFile]:
    """Compartment -> its part of a combined CSV file; empty if the file is none."""
    if not is_combined_csv(path):
        return {}
    names = read_combined_header(path, path.name).compartments
    _refuse_ambiguity(path, preset, names)
    tables = preset.tables(names)
    return {compartment: TableFile(path, name) for compartment, name in tables.items()}


def _refuse_ambiguity(path: Place, preset: Preset, names: Iterable[str]) -> None:
    fault = preset.ambiguity(names)
    if fault is not None:
        msg = f"{path.name}: {fault}"
        raise MeasurementError(msg)


def _in_carta_tables(path: Place, preset: Preset) -> dict[str, TableFile]:
    if not in_carta_columns(path):
        return {}
    return {name: TableFile(path, name) for name in ("Image", preset.compartment)}


def database_tables(path: Place, preset: Preset) -> dict[str, TableFile]:
    """Compartment -> table of one database; empty if it holds no Image table of the dialect.

    A table that does not name an image set measures nothing and is passed over.

    Raises
    ------
    MeasurementError
        If the database cannot be read, or it is not clear which of its tables are meant.
    """
    return ask_schema(path, path.name, lambda database: _tables_in(database, path, preset))


def _tables_in(database: Database, path: Place, preset: Preset) -> dict[str, TableFile]:
    found: dict[str, TableFile] = {}
    names = database.tables()
    _refuse_ambiguity(path, preset, names)
    for compartment, table in preset.tables(names).items():
        columns = database.columns(table)
        if preset.image_number.lower() not in (column.lower() for column in columns):
            continue
        if compartment != preset.side_by_side:
            found[compartment] = TableFile(path, table)
            continue
        several = preset.compartments_side_by_side(columns)
        for one in several:
            beside = tuple(other for other in several if other != one)
            found[compartment_name(one)] = TableFile(path, table, beside)
    return found


_TABLES_OF_FILE: dict[Container, Callable[[Place, Preset], dict[str, TableFile]]] = {
    "database": database_tables,
    "combined-csv": _combined_tables,
    "in-carta": _in_carta_tables,
}


def folder_order(folder: MeasurementFolder) -> tuple[object, ...]:
    """Order of folders in their plate."""
    return (well_sort_key(folder.well), site_sort_key(folder.site), folder.relative)


def _choice(dataset: Dataset, folder: MeasurementFolder) -> str:
    names = ", ".join(table.name for table in folder.tables.values())
    why = "as the dataset says" if dataset.preset is not None else "found by itself"
    where = folder.relative or "its folder"
    return f"{folder.preset.name}, {why}: {names} in {where}"


def unknown_databases(dataset: Dataset) -> str:
    """What the databases in a dataset's folder hold, for an error where no dialect knows them."""
    found = []
    presets = presets_of(dataset)
    for path in Listing.of(dataset.root).files if dataset.file is None else (dataset.file,):
        named = any(one.container == "database" and one.table_of_file(path.name) for one in presets)
        if not named or not path.is_file():
            continue
        try:
            tables = ask_schema(path, path.name, lambda database: list(database.tables()))
        except (MeasurementError, InputChangedError) as error:
            found.append(str(error))
        else:
            more = ", ..." if len(tables) > _TABLES_SHOWN else ""
            found.append(f"{path.name} has {', '.join(tables[:_TABLES_SHOWN]) or 'no table'}{more}")
    return "; ".join(found)


def expected(presets: Sequence[Preset]) -> str:
    """What dialects would be read, for an error where there is none."""
    return "; ".join(f"{preset.name} ({preset.doc or preset.image_table})" for preset in presets)
