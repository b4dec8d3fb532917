"""Checks of a plate against its batch: other plates, and where its images lie."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from cp_assets.checks.outcome import Outcome, PlateTables, TableCheck, first_of, outcome_of
from cp_assets.datasets import PlateSources
from cp_assets.datasets.layouts import WORKSPACE
from cp_assets.datasets.listing import lies_below, relative_path
from cp_assets.datasets.load_data import LoadDataRow, read_load_data
from cp_assets.datasets.metadata_files import barcode_file, plate_maps
from cp_assets.images.image_sets import IMAGE_SUFFIXES
from cp_assets.images.prefixes import PrefixMap
from cp_assets.images.recorded import normalise
from cp_assets.measurements.joined_columns import raw_columns_of
from cp_assets.stores import ObjectPath, Place
from cp_assets.warehouse.spec import TableSpec

_COMPARED_PLATES = 20
"""Most plates of the batch that a plate is compared with: each costs reading a wide footer."""

_PROJECT = re.compile(r"cpg\d{4}(?:-.*)?")


def _barcodes(tables: PlateTables, _spec: TableSpec) -> Outcome:
    """Compare the batch's plates with the file that says their plate maps."""
    sources = tables.sources
    file = barcode_file(sources)
    if file is None:
        held = "there is no barcode_platemap.csv"
        return Outcome(passed=True, summary=held, figures={"barcodes": 0})
    named = set(plate_maps(file))
    measured = {sources.key.plate_id, *_siblings_with_data(sources)}
    lost = sorted(named - measured)
    faults = [f"plate {plate} is in {file.name} and has no data" for plate in lost]
    unnamed = sorted(measured - named)
    faults += [f"plate {plate} has data and is not in {file.name}" for plate in unnamed]
    figures = {"barcodes": len(named), "plates": len(measured)}
    held = f"each of {len(named)} plates in {file.name} has data, and no other"
    return outcome_of(first_of(faults), held, figures)


def _siblings_with_data(sources: PlateSources) -> Iterator[str]:
    """Plates beside this one; a folder of a plate may have been left empty."""
    root, batch = sources.dataset.root, sources.key.batch_id
    if isinstance(root, ObjectPath):
        yield from sources.siblings  # A store has no empty folders.
        return
    for name in sources.siblings:
        places = [root / below / batch / name for below in WORKSPACE.values()]
        there = [place for place in places if place.is_dir()]
        if not there or any(_has_files(place) for place in there):
            yield name


def _has_files(plate: Path) -> bool:
    return any(plate.glob("analysis/*")) or any(one.is_file() for one in plate.iterdir())


def _columns(tables: PlateTables, spec: TableSpec) -> Outcome:
    """Find what most other plates of the batch have measured and this one has not."""
    own = _measured(tables.rows(spec.name).columns())
    others = list(islice(_columns_of_others(tables, spec), _COMPARED_PLATES))
    times = Counter(name for columns in others for name in columns)
    missing = [name for name, count in times.items() if count > len(others) / 2 and name not in own]
    by_compartment: dict[str, list[str]] = defaultdict(list)
    for name in missing:
        by_compartment[name.partition("_")[0]].append(name)
    faults = [
        f"{len(names)} columns of {compartment} are missing that most of {len(others)} other "
        f"plates of the batch have: {', '.join(first_of(names))}"
        for compartment, names in by_compartment.items()
    ]
    figures = {"columns": len(own), "plates compared": len(others), "missing": len(missing)}
    return outcome_of(faults, f"no column of {len(others)} other plates is missing", figures)


def _columns_of_others(tables: PlateTables, spec: TableSpec) -> Iterator[set[str]]:
    """Measured columns of each other plate of the batch."""
    table = tables.warehouse.table(spec.name)
    plate = tables.plate
    scope = {"dataset_id": plate.dataset_id, "batch_id": plate.batch_id}
    position = [field.name for field in table.spec().fields].index("plate_id")
    partitions = tables.warehouse.partitions
    # Footers are kept: the columns of a plate lie in its first file.
    first = {file.partition[position]: file for file in reversed(partitions.files(table, scope))}
    for name, file in sorted(first.items()):
        if name != plate.plate_id:
            yield _measured(partitions.schema(table, file).names)


def _measured(names: list[str]) -> set[str]:
    return {name for name in raw_columns_of(names) if not name.startswith("Metadata_")}


def _load_data(tables: PlateTables, _spec: TableSpec) -> Outcome:
    """Hold the folders that LoadData names against the one that the images lie in."""
    sources = tables.sources
    mapped = PrefixMap.of(sources.dataset.images).names
    expected = _expected_places(sources)
    strange: dict[str, str] = {}
    folders: set[str] = set()
    for path in sources.load_data if expected else ():
        for folder in {folder for row in read_load_data(path) for folder in _image_folders(row)}:
            folders.add(folder)
            known = any(f"{folder}/".startswith(f"{prefix}/") for prefix in mapped)
            if not known and not all(f"/{place}/" in f"/{folder}/" for place in expected):
                strange.setdefault(folder, path.name)
    faults = [
        f"{file} names images in {folder}, which is not of {' or '.join(expected)}: say where they "
        "lie under images.path_prefix_map, or mend the file"
        for folder, file in sorted(strange.items())
    ]
    figures = {"LoadData files": len(sources.load_data), "folders": len(folders)}
    held = "LoadData names the folder of the images" if folders else "there is nothing to compare"
    return outcome_of(first_of(faults), held, figures)


def _expected_places(sources: PlateSources) -> tuple[str, ...]:
    """Parts of a path that lead to the plate's images, wherever the dataset lies."""
    root = sources.dataset.root.resolve()
    if sources.image_dir is None or not lies_below(sources.image_dir.resolve(), root):
        return ()
    below = relative_path(sources.image_dir.resolve(), root)
    return (*_project(root), below)


def _project(root: Place) -> tuple[str, ...]:
    """``<project>/<source>`` where the dataset's folder is called so, as in the gallery."""
    named = _PROJECT.fullmatch(root.parent.name)
    return (f"{root.parent.name}/{root.name}",) if named else ()


def _image_folders(row: LoadDataRow) -> Iterator[str]:
    """The folder of each channel's image: of its URL, which is trusted more, else its path."""
    for column, value in row.items():
        kind, _, channel = (column or "").partition("_")
        if not value or kind not in ("URL", "PathName"):
            continue
        url, name = row.get(f"URL_{channel}"), row.get(f"FileName_{channel}") or ""
        if kind == "URL" and value.lower().endswith(IMAGE_SUFFIXES):
            yield normalise(value).rpartition("/")[0]
        elif kind == "PathName" and not url and name.lower().endswith(IMAGE_SUFFIXES):
            yield normalise(value).rstrip("/")


PLATES_OF_BATCH = TableCheck(
    "plates_of_batch",
    "every plate in barcode_platemap.csv has data, and every plate with data is in it",
    _barcodes,
    blocking=False,
)
COLUMNS_OF_BATCH = TableCheck(
    "columns_of_batch",
    "no feature is missing that most other plates of the batch have",
    _columns,
    blocking=False,
)
LOAD_DATA_PLACE = TableCheck(
    "load_data_place",
    "LoadData names the folder that the images lie in, not one of another plate or project",
    _load_data,
    blocking=False,
)
