"""Which files annotate a plate: those that the user names, and the gallery's plate maps.

``workspace/metadata/platemaps/<batch>/barcode_platemap.csv`` says which plate has which plate map,
and ``platemap/<name>.txt`` beside it what each well of that map holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cp_assets.datasets.text_tables import TextTable
from cp_assets.errors import ConfigurationError
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from cp_assets.datasets.model import Dataset, PlateSources

METADATA = Path("workspace/metadata")
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

    path: Path
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
    of_dataset: tuple[Path, ...]
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


def named_files(dataset: Dataset) -> tuple[Path, ...]:
    """The annotation files that the user named.

    Raises
    ------
    ConfigurationError
        If one does not exist.
    """
    missing = next((path for path in dataset.annotations if not path.is_file()), None)
    if missing is not None:
        msg = (
            f"dataset {dataset.dataset_id}: annotations names {missing}, which is no file; "
            "expected a CSV, TSV or Parquet file with a column of wells, such as Metadata_Well"
        )
        raise ConfigurationError(msg)
    return dataset.annotations


def barcode_file(sources: PlateSources) -> Path | None:
    """The file that says which plates of the batch have which plate map, or None."""
    if sources.dataset.layout != "cell-painting-gallery":
        return None
    metadata = sources.dataset.root / METADATA
    for folder in (metadata / "platemaps" / sources.key.batch_id, metadata / sources.key.batch_id):
        if (folder / BARCODES).is_file():
            return folder / BARCODES
    return None


def plate_maps(barcodes: Path) -> dict[str, tuple[str, ...]]:
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


def _plate_map(folder: Path, name: str) -> Path | None:
    # Found in the listing, not by its path: a name from a file must not lead out of the folder.
    there = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
    names = (name, *(f"{name}{ending}" for ending in _ENDINGS))
    return next((there[one] for one in names if one in there and there[one].is_file()), None)


def _all_gallery_files(dataset: Dataset) -> tuple[Path, ...]:
    if dataset.layout != "cell-painting-gallery":
        return ()
    metadata = dataset.root / METADATA
    listed = [*metadata.glob(f"*/{BARCODES}"), *metadata.glob(f"*/*/{BARCODES}")]
    folders = sorted(file.parent for file in listed)
    barcodes = [folder / BARCODES for folder in folders]
    maps = [
        path
        for folder in folders
        for path in sorted((folder / "platemap").glob("*"))
        if path.suffix in _ENDINGS and path.name[0] != "."
    ]
    return (*barcodes, *maps)


def _name(dataset: Dataset, path: Path) -> str:
    # Resolved, so that one file has one name from whatever folder it is named.
    folder, root = path.parent.resolve(), dataset.root.resolve()
    if folder.is_relative_to(root):
        return (folder / path.name).relative_to(root).as_posix()
    return f"{folder.name}/{path.name}"


def _fault(file: AnnotationFile, detail: str) -> Rejection:
    return Rejection(
        kind="file",
        reason="no_plate_map",
        detail=detail,
        outcome="incomplete",
        source_file=file.name,
    )
