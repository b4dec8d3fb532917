"""LoadData: the table that told CellProfiler which image files to load for each site."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.datasets.csv_files import open_text
from cp_assets.datasets.identity import normalise_site, normalise_well
from cp_assets.datasets.parquet_files import open_parquet
from cp_assets.errors import MeasurementError

if TYPE_CHECKING:
    from cp_assets.stores import Place

LoadDataRow = Mapping[str, str | None]
WellSite = tuple[str | None, str | None]
"""Well and site."""


def read_load_data(path: Place) -> list[LoadDataRow]:
    """Rows of a LoadData file (``.csv``, ``.csv.gz`` or ``.parquet``), every value as text.

    Raises
    ------
    MeasurementError
        If the file cannot be read or has no column ``Metadata_Well``.
    """
    try:
        rows = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    except (OSError, EOFError, ValueError, csv.Error, pa.ArrowException) as error:
        msg = (
            f"LoadData file {path}: cannot be read ({error}); expected CSV, gzipped CSV "
            "(.csv.gz) or Parquet as its ending says"
        )
        raise MeasurementError(msg) from error
    if rows and "Metadata_Well" not in rows[0]:
        msg = (
            f"LoadData file {path}: has no column Metadata_Well, only "
            f"{', '.join(list(rows[0])[:12])}; name the well's column so, or leave the file out"
        )
        raise MeasurementError(msg)
    return rows


def _read_csv(path: Place) -> list[LoadDataRow]:
    with open_text(path) as file:
        return list(csv.DictReader(file))


def _read_parquet(path: Place) -> list[LoadDataRow]:
    with open_parquet(path) as file:
        return [
            {name: None if value is None else str(value) for name, value in row.items()}
            for row in file.read().to_pylist()
        ]


def image_set_places(paths: Iterable[Place]) -> dict[tuple[str, str], WellSite]:
    """Well and site by (``FileName_...`` column, file name), for names at one place only.

    For Image tables that do not say their wells and sites.
    """
    places: dict[tuple[str, str], WellSite] = {}
    ambiguous: set[tuple[str, str]] = set()
    for path in paths:
        for row in read_load_data(path):
            place = (
                normalise_well(row.get("Metadata_Well") or ""),
                normalise_site(row.get("Metadata_Site") or ""),
            )
            for column, name in row.items():
                item = (column, name or "")
                named = name and column.startswith("FileName_")
                if named and places.setdefault(item, place) != place:
                    ambiguous.add(item)
    return {item: place for item, place in places.items() if item not in ambiguous}
