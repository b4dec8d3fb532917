"""Measurements to build profiles of: real ones, copies of them, and as a database."""

from __future__ import annotations

import csv
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from benchmarks.data import well

TABLES = ("Image", "Cells", "Cytoplasm", "Nuclei")
_HUMAN = "example_human"
_SITE = "cpg0043_BR00116991/BR00116991-A01-1"


def example_human() -> Path:
    """CellProfiler's ExampleHuman: one image set, 289 cells, some 100 columns a compartment.

    Raises
    ------
    FileNotFoundError
        If ``CP_ASSETS_TEST_DATA`` has not the data.
    """
    return _real(_HUMAN)


def gallery_site() -> Path:
    """One site of a Cell Painting plate: 109 cells, some 2,000 columns a compartment.

    Raises
    ------
    FileNotFoundError
        If ``CP_ASSETS_TEST_DATA`` has not the data.
    """
    return _real(_SITE)


def _real(name: str) -> Path:
    folder = Path(os.environ.get("CP_ASSETS_TEST_DATA", ""), name)
    if not folder.is_dir():
        msg = f"no real data: set CP_ASSETS_TEST_DATA to the folder that holds {name}"
        raise FileNotFoundError(msg)
    return folder.resolve()


def write_copies(site: Path, root: Path, sites: int) -> Path:
    """Copies of a site's measurement folder, each with a well, site and ImageNumber of its own."""
    tables = {name: list(_csv_rows(site / f"{name}.csv")) for name in TABLES}
    for number in range(sites):
        folder = root / _site_name(site, number)
        folder.mkdir(parents=True)
        for name, rows in tables.items():
            own = {"ImageNumber": str(number + 1), **_place(number)}
            _write_csv(folder / f"{name}.csv", rows, own)
    return root


def write_linked_plate(site: Path, root: Path, sites: int) -> Path:
    """A plate in the gallery's layout whose object tables are hard links to one file each.

    Every folder has an Image table of its own, with its well and site; the ImageNumber is the same
    in all, as where each site was a run of CellProfiler.
    """
    plate = site.name.split("-")[0]
    originals = root / "originals"
    originals.mkdir(parents=True)
    for name in TABLES:
        (originals / f"{name}.csv").write_bytes((site / f"{name}.csv").read_bytes())
    image = list(_csv_rows(site / "Image.csv"))
    gallery = root / "gallery"
    for number in range(sites):
        folder = (
            gallery / "workspace/analysis/batch" / plate / "analysis" / _site_name(site, number)
        )
        folder.mkdir(parents=True)
        _write_csv(folder / "Image.csv", image, _place(number))
        for name in TABLES[1:]:
            (folder / f"{name}.csv").hardlink_to(originals / f"{name}.csv")
    return gallery


def _site_name(site: Path, number: int) -> str:
    return "-".join([site.name.split("-")[0], *_place(number).values()])


def _place(number: int) -> dict[str, str]:
    return {"Metadata_Well": well(number), "Metadata_Site": str(number // 384 + 1)}


def _csv_rows(path: Path) -> Iterator[list[str]]:
    with path.open(newline="") as file:
        yield from csv.reader(file)


def _write_csv(path: Path, table: list[list[str]], own: dict[str, str]) -> None:
    """The table with these values in these columns, where it has them."""
    header, *rows = table
    places = {header.index(key): value for key, value in own.items() if key in header}
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(header)
        for row in rows:
            writer.writerow([places.get(at, value) for at, value in enumerate(row)])


def write_database(folder: Path, path: Path) -> Path:
    """CellProfiler's CSV files as ExportToDatabase writes them to SQLite, a table a compartment.

    Plate and well, which CytoTable's preset selects and ExampleHuman's Image table lacks, are taken
    from the images' names (``AS_09125_050116030001_D03f00d0.tif``). Tables have no experiment's
    prefix: CytoTable's preset knows them without one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    with connection:
        for name in TABLES:
            header, *rows = _csv_rows(folder / f"{name}.csv")
            columns = dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))
            if name == "Image":
                parts = [file.rsplit("_", 1) for file in columns["FileName_DNA"]]
                columns["Metadata_Plate"] = [plate for plate, _ in parts]
                columns["Metadata_Well"] = [rest[:3] for _, rest in parts]
            # ExportToDatabase keeps an object's number as <compartment>_Number_Object_Number.
            columns.pop("ObjectNumber", None)
            _write_table(connection, name, columns)
    connection.close()
    return path


def _write_table(connection: sqlite3.Connection, name: str, columns: dict[str, list[str]]) -> None:
    typed = [_typed(values) for values in columns.values()]
    names = [column if column == "ImageNumber" else f"{name}_{column}" for column in columns]
    keys = ["ImageNumber"] if name == "Image" else ["ImageNumber", f"{name}_Number_Object_Number"]
    defined = [f'"{column}" {kind}' for column, (kind, _) in zip(names, typed, strict=True)]
    connection.execute(
        f"CREATE TABLE Per_{name} ({', '.join(defined)}, PRIMARY KEY ({', '.join(keys)}))"
    )
    marks = ", ".join("?" * len(names))
    rows = zip(*(values for _, values in typed), strict=True)
    connection.executemany(f"INSERT INTO Per_{name} VALUES ({marks})", rows)


def _typed(values: list[str]) -> tuple[str, list[int | None] | list[float | None] | list[str]]:
    """CellProfiler's type of a column and its values; NaN is NULL."""
    present = [None if value in {"", "nan"} else value for value in values]
    for kind, convert in (("INTEGER", int), ("FLOAT", float)):
        try:
            return kind, [None if value is None else convert(value) for value in present]
        except ValueError:
            continue
    return "VARCHAR(255)", values
