"""The demo: a sample dataset, all its tables built through Dagster, and a picture of its cells."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from cp_assets.datasets import PlateKey, find_plates
from cp_assets.datasets.config import read_configuration
from cp_assets.running.jobs import dagster_instance, materialize_plates
from cp_assets.running.plate_run import PlateRun
from cp_assets.sample import SampleOptions, write_sample
from cp_assets.showing import crops_of_some_cells, sheet_png
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DemoHome:
    """Where the demo keeps what it makes; all below one folder."""

    folder: Path

    @property
    def config(self) -> Path:
        """``cp_assets.yaml`` of the demo."""
        return self.folder / "cp_assets.yaml"

    @property
    def dagster(self) -> Path:
        """``DAGSTER_HOME`` of the demo."""
        return self.folder / "dagster"

    @property
    def warehouse(self) -> Path:
        """The warehouse."""
        return self.folder / "warehouse"

    @property
    def picture(self) -> Path:
        """The contact sheet."""
        return self.folder / "cells.png"

    def environment(self) -> dict[str, str]:
        """Environment variables with which Dagster works on the demo."""
        return {
            "DAGSTER_HOME": str(self.dagster.resolve()),
            "CP_ASSETS_CONFIG": str(self.config.resolve()),
        }


@dataclass(frozen=True)
class DemoResult:
    """What the demo made."""

    runs: tuple[PlateRun, ...]
    warehouse: Warehouse
    picture: Path | None


def run_demo(
    home: DemoHome, options: SampleOptions, report: Callable[[str], None] = logger.info
) -> DemoResult:
    """Make the sample, build every table of every plate through Dagster, and draw some cells.

    Running it again builds only what changed.
    """
    root = home.folder / "data" / options.prefix
    if not root.exists():
        report(f"writing a sample dataset of {options.plates} plates to {root}")
        write_sample(root, options)
    write_configuration(home, root, options)
    os.environ.update(home.environment())
    plates = list(find_plates(read_configuration(home.config).datasets[0]))
    with dagster_instance(home.dagster) as instance:
        runs = tuple(materialize_plates(instance, plates, report=report))
    warehouse = open_warehouse(home.warehouse)
    return DemoResult(runs, warehouse, draw_cells(warehouse, plates[0], home.picture))


def write_configuration(home: DemoHome, root: Path, options: SampleOptions) -> None:
    """Write the demo's ``cp_assets.yaml``; paths are relative to it."""
    dataset = {
        "dataset_id": options.prefix.replace("/", "-"),
        "root": str(root.relative_to(home.folder)),
        "layout": "cell-painting-gallery",
    }
    home.folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump({"warehouse": "./warehouse", "datasets": [dataset]}, sort_keys=False)
    home.config.write_text(text, encoding="utf-8")


def draw_cells(warehouse: Warehouse, plate: PlateKey, file: Path) -> Path | None:
    """Write a contact sheet of a plate's first cells; None if it has no crops."""
    crops = crops_of_some_cells(warehouse, plate)
    if not crops.num_rows:
        return None
    file.write_bytes(sheet_png(crops))
    return file
