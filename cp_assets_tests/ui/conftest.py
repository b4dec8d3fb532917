"""Sample plates that wait to be built, Dagster's UI on them, and a page of a real Chromium."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from cp_assets.datasets import PlateKey, find_plates
from cp_assets.datasets.config import read_configuration
from cp_assets.demo import DemoHome, write_configuration
from cp_assets.partitions import register_plates
from cp_assets.running.jobs import dagster_instance
from cp_assets.sample import SampleOptions, write_sample
from cp_assets_tests.conftest import missing
from cp_assets_tests.ui.server import DagsterUI, dagster_ui

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

AWKWARD_NAME = "Plate 1, re|run"
"""A comma ends a key in the UI, a bar separates dimensions, a blank must be quoted in URLs."""

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# As root there is no sandbox; without the rest, Chromium calls home at every start.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_WAIT_MS = 30_000
# Wide enough for the graph to show more of each asset than its name.
_WINDOW: ViewportSize = {"width": 2400, "height": 1300}


@dataclass(frozen=True)
class Plates:
    """Plates that are registered and not built yet."""

    home: DemoHome
    plain: PlateKey
    untouched: PlateKey
    awkward: PlateKey


@pytest.fixture(scope="module")
def chromium() -> str:
    """The browser's program; without one, its tests are skipped."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        missing(f"no Chromium on PATH ({', '.join(_BROWSERS)})")
    return str(found)


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Plates:
    """Two sample plates and a copy of one under an awkward name, as partitions."""
    home = DemoHome(tmp_path_factory.mktemp("ui") / "demo")
    options = SampleOptions(plates=2, wells=1, sites=1, cells=12, seed=5, image_size=(150, 190))
    root = home.folder / "data" / options.prefix
    write_sample(root, options)
    batch = root / "workspace" / "analysis" / options.batch
    copied = options.plate_names[0]
    shutil.copytree(batch / copied, batch / AWKWARD_NAME)
    for table in (batch / AWKWARD_NAME).rglob("Image.csv"):
        rows = pd.read_csv(table, dtype=str, keep_default_na=False)
        rows.assign(Metadata_Plate=AWKWARD_NAME).to_csv(table, index=False)
    (images,) = (root / "images" / options.batch / "images").glob(f"{copied}__*")
    shutil.copytree(images, images.with_name(images.name.replace(copied, AWKWARD_NAME)))
    (barcodes,) = (root / "workspace" / "metadata").rglob("barcode_platemap.csv")
    with barcodes.open(newline="") as stream:
        maps = dict(list(csv.reader(stream))[1:])
    with barcodes.open("a", newline="") as stream:
        csv.writer(stream).writerow([AWKWARD_NAME, maps[copied]])
    write_configuration(home, root, options)
    keys = find_plates(read_configuration(home.config).datasets[0])
    named = {key.plate_id: key for key in keys}
    with dagster_instance(home.dagster) as instance:
        register_plates(instance, keys)
    first, second = options.plate_names
    return Plates(home, plain=named[first], untouched=named[second], awkward=named[AWKWARD_NAME])


@pytest.fixture(scope="module")
def ui(
    chromium: str,
    plates: Plates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DagsterUI]:
    """The UI on the plates."""
    with dagster_ui(plates.home, tmp_path_factory.mktemp("server")) as served:
        yield served


@pytest.fixture
def page(chromium: str, ui: DagsterUI, tmp_path: Path) -> Iterator[Page]:
    """An empty page; its last look is kept in the test's temporary folder."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=_WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, headless=True, chromium_sandbox=False, args=list(_FLAGS)
        )
        opened = browser.new_page(base_url=ui.url, viewport=_WINDOW)
        opened.set_default_timeout(_WAIT_MS)
        try:
            yield opened
            opened.screenshot(path=tmp_path / "last.png")
        finally:
            browser.close()
