"""Fixtures: a small plate in a temporary folder, and the real ExampleHuman."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cp_assets.datasets.ids import image_set_id
from cp_assets.datasets.model import Dataset, PlateSources
from cp_assets.images import image_sets, loading
from cp_assets.images.readers import ImageFile, ImageReader, Pixels, Region, open_image
from cp_assets_tests.images.plates import KEY, Human, Plate, Reads, build_plate, profile_rows


@pytest.fixture
def plate(tmp_path: Path) -> Plate:
    """One site of two channels, well A01 site 1."""
    return build_plate(tmp_path, [("A01", "1")])


@pytest.fixture(scope="session")
def example_human(test_data: Path) -> Path:
    """Folder of CellProfiler's ExampleHuman."""
    return test_data / "example_human"


@pytest.fixture(scope="session")
def human(example_human: Path) -> Human:
    """The 289 cells and the image set of ExampleHuman."""
    with (example_human / "Image.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    image_id = image_set_id(KEY, "D03", "1", None)
    keys = {"image_id": image_id, "well_id": "D03", "site_id": "1", "source_folder": ""}
    sets = list(image_sets([pa.RecordBatch.from_pylist([{**row, **keys, "ImageNumber": 1}])]))
    with (example_human / "Cells.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    ends = ("Minimum_X", "Minimum_Y", "Maximum_X", "Maximum_Y")
    edges = [[int(float(cell[f"AreaShape_BoundingBox{end}"])) for end in ends] for cell in cells]
    boxes = [(x_min, y_min, x_max, y_max) for x_min, y_min, x_max, y_max in edges]
    dataset = Dataset(dataset_id="dataset", root=example_human, layout="cellprofiler")
    sources = PlateSources(dataset=dataset, key=KEY, folders=(), image_dir=example_human)
    return Human(example_human, sets, profile_rows(sets[0], boxes), sources, boxes)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """What is read of which file, in the order of the reading."""
    seen: Reads = []

    def watched(file: ImageFile, **options: Any) -> ImageReader:
        reader, path = open_image(file, **options), file.path
        read = reader.read

        def counted(region: Region) -> Pixels:
            seen.append((f"{path.parent.name}/{path.name}", region))
            return read(region)

        monkeypatch.setattr(reader, "read", counted)
        return reader

    monkeypatch.setattr(loading, "open_image", watched)
    return seen
