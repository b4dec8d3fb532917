"""The plates that an Image table names, whatever its dialect."""

from __future__ import annotations

import csv
import zlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from cp_assets.datasets.combined_header import HEADER_ROWS, IMAGE, read_combined_header
from cp_assets.datasets.csv_files import open_text
from cp_assets.datasets.csv_text import open_csv
from cp_assets.datasets.databases import open_database, quoted
from cp_assets.datasets.deepprofiler_identity import SiteIdentity, read_identity
from cp_assets.datasets.identity import PLATE_COLUMNS, plate_name
from cp_assets.datasets.in_carta_names import identity_columns, in_carta_columns
from cp_assets.datasets.parquet_files import open_parquet
from cp_assets.errors import InputChangedError, MeasurementError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cp_assets.datasets.model import MeasurementFolder, TableFile
    from cp_assets.datasets.presets import Container, Preset
    from cp_assets.stores import Place


_PIECE_BYTES = 16 * 2**20


def image_table_plates(folder: MeasurementFolder) -> set[str]:
    """The plates that an Image table names, in the first of the columns that the field uses.

    None where the table cannot be read: reading its rows will say why.
    """
    image = folder.tables["Image"]
    try:
        return _named(_PLATES[folder.preset.container](image, folder.preset))
    except (EOFError, zlib.error, csv.Error, pa.ArrowException, OSError):
        return set()
    except (MeasurementError, InputChangedError):
        return set()


def _named(values: Iterable[object]) -> set[str]:
    names = (plate_name(str(value)) for value in values if value is not None)
    return {name for name in names if name is not None}


def _plate_column(preset: Preset, columns: Sequence[str]) -> str | None:
    names = preset.canonical("Image", columns)
    return next((names[name] for name in PLATE_COLUMNS if name in names), None)


def _of_file(image: TableFile, preset: Preset) -> Iterable[object]:
    read = _of_parquet if image.path.suffix.lower() == ".parquet" else _of_csv
    return read(image, preset)


def _of_csv(image: TableFile, preset: Preset) -> Iterable[object]:
    path = image.path
    with open_text(path, errors="replace") as stream:
        # For one row three times as fast as Arrow.
        rows = csv.DictReader(stream)
        columns = rows.fieldnames or ()
        column = _plate_column(preset, columns)
        try:
            return [] if column is None else [row[column] for row in rows]
        except csv.Error:
            # Longer than the values that this reader takes.
            return _distinct_values(path, len(columns), columns.index(column), 1)


def _of_combined_csv(image: TableFile, _preset: Preset) -> Iterable[object]:
    path = image.path
    header = read_combined_header(path, path.name).columns
    names = ((IMAGE, name) for name in PLATE_COLUMNS)
    column = next((name for name in names if name in header), None)
    if column is None:
        return []
    return _distinct_values(path, len(header), header.index(column), HEADER_ROWS)


def _of_deepprofiler(image: TableFile, _preset: Preset) -> Iterable[object]:
    path = image.path
    try:
        return read_identity(path, path.name).place()[:1]
    except (MeasurementError, InputChangedError):
        # Reading its rows will say why; it is no plate of another name.
        return SiteIdentity(path.name, path, {}).place()[:1]


def _of_in_carta(image: TableFile, _preset: Preset) -> Iterable[object]:
    columns = in_carta_columns(image.path)
    column = identity_columns(columns).get("plate")
    if column is None:
        return []
    return _distinct_values(image.path, len(columns), columns.index(column), 1)


def _distinct_values(path: Place, width: int, place: int, header_rows: int) -> list[object]:
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
    convert = pacsv.ConvertOptions(include_columns=[taken], column_types={taken: pa.string()})
    parse = pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip")
    found: dict[object, None] = {}
    with open_csv(path, path.name, header_rows) as text:
        for piece in text.pieces(_PIECE_BYTES):
            # Of a row that is skipped, Arrow decodes the text.
            clean = piece.decode(errors="replace").encode()
            read = pacsv.ReadOptions(column_names=names, use_threads=False, block_size=len(clean))
            rows = pacsv.read_csv(pa.BufferReader(clean), read, parse, convert)
            found.update(dict.fromkeys(pc.unique(rows[taken]).to_pylist()))
    return list(found)


def _of_database(image: TableFile, preset: Preset) -> Iterable[object]:
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


def _of_parquet(image: TableFile, preset: Preset) -> Iterable[object]:
    with open_parquet(image.path) as file:
        column = _plate_column(preset, file.schema_arrow.names)
        if column is None:
            return []
        found: list[object] = pc.unique(file.read(columns=[column])[column]).to_pylist()
        return found


_PLATES: dict[Container, Callable[[TableFile, Preset], Iterable[object]]] = {
    "file": _of_file,
    "database": _of_database,
    "combined-csv": _of_combined_csv,
    "in-carta": _of_in_carta,
    "deepprofiler": _of_deepprofiler,
}
