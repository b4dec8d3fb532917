"""The plates that an Image table names, whatever its dialect."""

from __future__ import annotations

import csv
import zlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from cp_assets.datasets.combined_header import HEADER_ROWS, IMAGE, read_combined_header
from cp_assets.datasets.csv_files import open_text
from cp_assets.datasets.databases import open_database, quoted
from cp_assets.datasets.identity import PLATE_COLUMNS
from cp_assets.errors import InputChangedError, MeasurementError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cp_assets.datasets.model import MeasurementFolder, TableFile
    from cp_assets.datasets.presets import Preset


_BLOCK_BYTES = 16 * 2**20


def image_table_plates(folder: MeasurementFolder) -> set[str]:
    """The plates that an Image table names, in the first of the columns that the field uses.

    None where the table cannot be read: reading its rows will say why.
    """
    image = folder.tables["Image"]
    try:
        if folder.preset.container == "combined-csv":
            return _named(_of_combined_csv(image.path))
        if image.table is not None:
            return _named(_of_database(image, folder.preset))
        if image.path.suffix.lower() == ".parquet":
            return _named(_of_parquet(image, folder.preset))
        return _named(_of_csv(image, folder.preset))
    except (EOFError, zlib.error, pa.ArrowException, OSError, MeasurementError, InputChangedError):
        return set()


def _named(values: Iterable[object]) -> set[str]:
    return {str(value).strip() for value in values if value is not None and str(value).strip()}


def _plate_column(preset: Preset, columns: Sequence[str]) -> str | None:
    names = preset.canonical("Image", columns)
    return next((names[name] for name in PLATE_COLUMNS if name in names), None)


def _of_csv(image: TableFile, preset: Preset) -> list[str | None]:
    with open_text(image.path, errors="replace") as stream:
        rows = csv.DictReader(stream)
        column = _plate_column(preset, rows.fieldnames or ())
        return [] if column is None else [row[column] for row in rows]


def _of_combined_csv(path: Path) -> list[object]:
    header = read_combined_header(path, path.name).columns
    names = ((IMAGE, name) for name in PLATE_COLUMNS)
    column = next((name for name in names if name in header), None)
    if column is None:
        return []
    return distinct_values(path, len(header), header.index(column), HEADER_ROWS)


def distinct_values(path: Path, width: int, place: int, header_rows: int) -> list[object]:
    """Different texts of one column of a CSV file, whose rows need not be read for it.

    Parameters
    ----------
    width
        Number of columns.
    place
        The column's place, from 0.
    """
    names = [str(at) for at in range(width)]
    taken = names[place]
    found: dict[object, None] = {}
    with pacsv.open_csv(
        path,
        pacsv.ReadOptions(
            column_names=names, skip_rows_after_names=header_rows, block_size=_BLOCK_BYTES
        ),
        pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip"),
        pacsv.ConvertOptions(include_columns=[taken], column_types={taken: pa.string()}),
    ) as batches:
        for batch in batches:
            found.update(dict.fromkeys(pc.unique(batch[taken]).to_pylist()))
    return list(found)


def _of_database(image: TableFile, preset: Preset) -> list[object]:
    table = image.table or ""
    with open_database(image.path, image.path.name) as database:
        column = _plate_column(preset, database.columns(table))
        if column is None:
            return []
        rows = database.query(
            f"SELECT DISTINCT CAST({quoted(column)} AS TEXT) AS plate FROM {quoted(table)}"
        )
        found: list[object] = rows["plate"].to_pylist()
        return found


def _of_parquet(image: TableFile, preset: Preset) -> list[object]:
    column = _plate_column(preset, pq.read_schema(image.path).names)
    if column is None:
        return []
    found: list[object] = pc.unique(pq.read_table(image.path, columns=[column])[column]).to_pylist()
    return found
