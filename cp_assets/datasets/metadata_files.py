"""Which files annotate a plate: those that the user names, and the gallery's plate maps.

``workspace/metadata/platemaps/<batch>/barcode_platemap.csv`` says which plate has which plate map,
and ``platemap/<name>.txt`` beside it what each well of that map holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cp_assets.datasets.listing import (
    entries,
    existing_file,
    files_below,
    lies_below,
    relative_path,
)
from cp_assets.datasets.text_tables import TextTable
from cp_assets.errors import ConfigurationError
from cp_assets.rejections import Rejection
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cp_assets.datasets.model import Dataset, PlateSources
    from cp_assets.stores import Place

METADATA = PurePosixPath("workspace/metadata")
BARCODES = "barcode_platemap.csv"
_BARCODE_COLUMN, _MAP_COLUMN = "assay_plate_barcode", "plate_map_name"
_ENDINGS = (".txt", ".tsv", ".csv")


@dataclass(frozen=True)
class AnnotationFile:
    """A file whose rows annotate wells or plates.

    Attributes
    ----------
    name
        The file as the books name it: below the dataset's root, or its folder and name.
    is_plate_map
        Whether it is a plate map: its wells are the plate's, whatever plate its columns name.
    """

    path: Place
    name: str
    is_plate_map: bool = False


@dataclass(frozen=True)
class PlateAnnotation:
    """What annotates a plate.

    Attributes
    ----------
    files
        Files of the plate, those that the user named first; of two values the first counts.
    of_dataset
        Files of all plates: they decide together what a column is called and what it holds.
    faults
        What is missing.
    """

    files: tuple[AnnotationFile, ...]
    of_dataset: tuple[Place, ...]
    faults: tuple[Rejection, ...] = ()


def find_annotation(sources: PlateSources) -> PlateAnnotation:
    """Find the files that annotate a plate.

    Raises
    ------
    ConfigurationError
        If a file that the user named does not exist.
    MeasurementError
        If ``barcode_platemap.csv`` cannot be read.
    """
    files, faults = annotation_files(sources)
    everyone = (*named_files(sources.dataset), *_all_gallery_files(sources.dataset))
    return PlateAnnotation(files, everyone, faults)


def annotation_files(
    sources: PlateSources,
) -> tuple[tuple[AnnotationFile, ...], tuple[Rejection, ...]]:
    """Files that annotate a plate, without a look at those of other plates, and what is missing.

    Raises
    ------
    ConfigurationError, MeasurementError
        As `find_annotation`.
    """
    dataset = sources.dataset
    named = tuple(AnnotationFile(path, _name(dataset, path)) for path in named_files(dataset))
    files, faults = _gallery_files(sources)
    return (*named, *files), faults


def named_files(dataset: Dataset) -> tuple[Place, ...]:
    """The annotation files that the user named.

    Raises
    ------
    ConfigurationError
        If one does not exist.
    """
    return tuple(_named_file(dataset, path) for path in dataset.annotations)


def _named_file(dataset: Dataset, path: Place) -> Place:
    file = existing_file(path)
    if file is None:
        msg = (
            f"dataset {dataset.dataset_id}: annotations names {path}, which is no file; "
            "expected a CSV, TSV or Parquet file with a column of wells, such as Metadata_Well"
        )
        raise ConfigurationError(msg)
    return file


def barcode_file(sources: PlateSources) -> Place | None:
    """The file that says which plates of the batch have which plate map, or None."""
    if sources.dataset.layout != "cell-painting-gallery":
        return None
    metadata = sources.dataset.root / METADATA
    for folder in (metadata / "platemaps" / sources.key.batch_id, metadata / sources.key.batch_id):
        file = existing_file(folder / BARCODES)
        if file is not None:
            return file
    return None


def plate_maps(barcodes: Place) -> dict[str, tuple[str, ...]]:
    """Plate -> the different plate maps that the file names for it.

    Raises
    ------
    MeasurementError
        If the file cannot be read.
    """
    table = TextTable.of(barcodes)
    place = {name.lower(): position for position, name in enumerate(table.columns)}
    if _BARCODE_COLUMN not in place or _MAP_COLUMN not in place:
        return {}
    found: dict[str, dict[str, None]] = {}
    for _, row in table.rows():
        plate, name = (row[place[column]] for column in (_BARCODE_COLUMN, _MAP_COLUMN))
        if plate is not None:
            found.setdefault(plate.strip(), {}).update({name.strip(): None} if name else {})
    return {plate: tuple(names) for plate, names in found.items()}


def _gallery_files(
    sources: PlateSources,
) -> tuple[tuple[AnnotationFile, ...], tuple[Rejection, ...]]:
    barcodes = barcode_file(sources)
    if barcodes is None:
        return (), ()
    own = AnnotationFile(barcodes, _name(sources.dataset, barcodes))
    plate = sources.key.plate_id
    maps = plate_maps(barcodes).get(plate, ())
    if len(maps) != 1:
        told = " and ".join(maps)
        detail = (
            f"it names plate {plate} with {len(maps)} plate maps, {told}; expected one"
            if maps
            else f"it names no plate map of plate {plate}; expected a row with "
            "Assay_Plate_Barcode and Plate_Map_Name"
        )
        return (own,), (_fault(own, detail),)
    found = _plate_map(barcodes.parent / "platemap", maps[0])
    if found is None:
        detail = (
            f"it names the plate map {maps[0]} for plate {plate}, and there is no "
            f"platemap/{maps[0]}.txt beside it; add that file, or mend the name"
        )
        return (own,), (_fault(own, detail),)
    return (own, AnnotationFile(found, _name(sources.dataset, found), is_plate_map=True)), ()


def _plate_map(folder: Place, name: str) -> Place | None:
    # Found in the listing, not by its path: a name from a file must not lead out of the folder.
    there = {path.name: path for path in entries(folder)}
    names = (name, *(f"{name}{ending}" for ending in _ENDINGS))
    return next((there[one] for one in names if one in there and there[one].is_file()), None)


def _all_gallery_files(dataset: Dataset) -> tuple[Place, ...]:
    if dataset.layout != "cell-painting-gallery":
        return ()
    metadata = dataset.root / METADATA
    if isinstance(metadata, ObjectPath):
        files = [path for _, path in files_below(metadata)]
        barcodes = [
            path for path in files if path.name == BARCODES and _is_of_batch(path, metadata)
        ]
        folders = {path.parent / "platemap" for path in barcodes}
        maps = [path for path in files if path.parent in folders]
        return _sorted_files(barcodes, maps)
    listed = [*metadata.glob(f"*/{BARCODES}"), *metadata.glob(f"*/*/{BARCODES}")]
    return _sorted_files(
        listed, [path for file in listed for path in (file.parent / "platemap").glob("*")]
    )


def _is_of_batch(barcodes: ObjectPath, metadata: ObjectPath) -> bool:
    above = barcodes.parent.parent
    return metadata in (above, above.parent)


def _sorted_files(barcodes: Iterable[Place], maps: Iterable[Place]) -> tuple[Place, ...]:
    tables = (path for path in maps if path.suffix in _ENDINGS and path.name[0] != ".")
    return (*sorted(barcodes), *sorted(tables))


def _name(dataset: Dataset, path: Place) -> str:
    # Resolved, so that one file has one name from whatever folder it is named.
    folder, root = path.parent.resolve(), dataset.root.resolve()
    if lies_below(folder, root):
        return relative_path(folder / path.name, root)
    return f"{folder.name}/{path.name}"


def _fault(file: AnnotationFile, detail: str) -> Rejection:
    return Rejection(
        kind="file",
        reason="no_plate_map",
        detail=detail,
        outcome="incomplete",
        source_file=file.name,
    )
