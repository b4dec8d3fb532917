"""Folders that CellProfiler wrote, and the tables in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.datasets.identity import (
    site_sort_key,
    split_site_folder,
    well_sort_key,
)
from cp_assets.datasets.model import MeasurementFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IMAGE_TABLE = "image.csv"
_USUAL_NAMES = frozenset({"Image", "Cells", "Cytoplasm", "Nuclei"})
_NOT_MEASUREMENTS = (
    "experiment",
    "object relationships",
    "object_relationships",
    "load_data",
    "load_data_with_illum",
)


def measurement_tables(folder: Path) -> dict[str, Path]:
    """Compartment -> CSV file of one folder; empty if the folder holds no Image table.

    File names are read in any letter case. ExportToSpreadsheet may put a prefix in front of all of
    its files (``MyExpt_Image.csv``, ``MyExpt_Cells.csv``); the Image table shows which.
    """
    csv_files = (path for path in folder.iterdir() if path.suffix.lower() == ".csv")
    # Names that begin with a dot are the file system's own, such as macOS's ._Cells.csv.
    files = sorted(path for path in csv_files if not path.name.startswith("."))
    image = [path for path in files if path.name.lower().endswith(_IMAGE_TABLE)]
    if not image:
        return {}
    shortest = min(image, key=lambda path: (len(path.name), path.name))
    prefix = shortest.name[: -len(_IMAGE_TABLE)]
    tables = {"Image": shortest}
    for path in files:
        stem = path.stem
        if path == shortest or not stem.lower().startswith(prefix.lower()):
            continue
        name = stem[len(prefix) :]
        if name.lower() not in _NOT_MEASUREMENTS:
            tables[_compartment_name(name)] = path
    return tables


def _compartment_name(stem: str) -> str:
    """The compartment as pipelines write it: ``CELLS`` and ``cells`` are Cells, ``PH3`` stays."""
    return stem.capitalize() if stem.capitalize() in _USUAL_NAMES else stem


def find_measurement_folders(root: Path, base: Path, plate: str) -> tuple[MeasurementFolder, ...]:
    """Measurement folders at ``base`` or one level below, in the order of well, site and name.

    Parameters
    ----------
    root
        The dataset's root: folders are named relative to it.
    base
        Where to look.
    plate
        The plate's name, to read wells and sites from folder names.
    """
    found = list(_folders(root, base, plate))
    return tuple(
        sorted(
            found,
            key=lambda folder: (
                well_sort_key(folder.well),
                site_sort_key(folder.site),
                folder.relative,
            ),
        )
    )


def _folders(root: Path, base: Path, plate: str) -> Iterator[MeasurementFolder]:
    candidates = [base, *sorted(child for child in base.iterdir() if child.is_dir())]
    for candidate in candidates:
        tables = measurement_tables(candidate)
        if tables:
            well, site = (
                split_site_folder(candidate.name, plate) if candidate != base else (None, None)
            )
            relative = candidate.relative_to(root).as_posix()
            yield MeasurementFolder(
                candidate, "" if relative == "." else relative, well, site, tables
            )
