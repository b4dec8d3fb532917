"""Small measurement files for tests, written from plain rows."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cp_assets.datasets import Dataset, PlateSources, find_plates
from cp_assets.datasets.measurement_folders import find_measurement_folders

Row = Mapping[str, object]


def write_csv(path: Path, rows: Iterable[Row], header: Sequence[str] | None = None) -> Path:
    """Write rows under the columns of the first one, or under a header of one's own."""
    rows = list(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(header if header is not None else rows[0])
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_folder(folder: Path, tables: Mapping[str, Sequence[Row]]) -> Path:
    """Write one measurement folder: compartment -> rows."""
    for name, rows in tables.items():
        write_csv(folder / f"{name}.csv", rows)
    return folder


def image_row(number: int = 1, **columns: object) -> dict[str, object]:
    """One row of an Image table."""
    return {"ImageNumber": number, **columns}


def cells_and_nuclei(
    number: int = 1, pairs: Sequence[tuple[int, int]] = ((1, 2), (2, 1))
) -> dict[str, list[Row]]:
    """Cells, cytoplasm and nuclei of (cell, nucleus) pairs; areas tell whose they are."""
    return {
        "Cells": [
            {
                "ImageNumber": number,
                "ObjectNumber": cell,
                "AreaShape_Area": 100 + cell,
                "Parent_Nuclei": nucleus,
            }
            for cell, nucleus in pairs
        ],
        "Cytoplasm": [
            {
                "ImageNumber": number,
                "ObjectNumber": cell,
                "AreaShape_Area": 200 + cell,
                "Parent_Cells": cell,
                "Parent_Nuclei": nucleus,
            }
            for cell, nucleus in pairs
        ],
        "Nuclei": [
            {"ImageNumber": number, "ObjectNumber": nucleus, "AreaShape_Area": 300 + nucleus}
            for _, nucleus in sorted(pairs, key=lambda pair: pair[1])
        ],
    }


def one_plate(root: Path, **options: object) -> PlateSources:
    """The only plate of a plain folder."""
    options = {"dataset_id": "set", "root": root, "layout": "cellprofiler", **options}
    (sources,) = find_plates(Dataset(**options)).values()  # type: ignore[arg-type]
    return sources


def gallery_folder(root: Path, plate: str, folder: str, batch: str = "B1") -> Path:
    """A measurement folder of the gallery's layout."""
    return root / "workspace" / "analysis" / batch / plate / "analysis" / folder


def compartments_in(folder: Path) -> set[str]:
    """The compartments of the tables that lie in a folder, without reading them."""
    dataset = Dataset(dataset_id="d", root=folder, layout="cellprofiler")
    found = find_measurement_folders(dataset, folder, folder.name)
    return {name for one in found.folders for name in one.tables}
