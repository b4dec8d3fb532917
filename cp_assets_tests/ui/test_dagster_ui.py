"""What a data steward does in Dagster's UI: look at the graph, build two plates, read what came of it.

Everything is done by clicking; GraphQL is asked only for what the open-source UI keeps to itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cp_assets.checks.asset_checks import CHECKS
from cp_assets.warehouse.warehouse import open_warehouse

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from cp_assets_tests.ui.conftest import Plates
    from cp_assets_tests.ui.server import DagsterUI

pytestmark = pytest.mark.browser

GROUPS = {
    "profiles": ("raw_measurements", "joined_profiles", "profile_with_images"),
    "images": ("image_crops", "source_images"),
    "provenance": ("manifest",),
}
ASSETS = [asset for assets in GROUPS.values() for asset in assets]
CHECKS_OF = {spec.identifier[1]: [check.name for check in checks] for spec, checks in CHECKS.items()}
# The daemon looks at backfills every 30 seconds: to start their runs, and again to see them ended.
BACKFILL_MS = 200_000


def test_graph_and_asset_pages_tell_what_is_there(
    page: Page, plates: Plates, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    open_graph(page)
    page.screenshot(path=tmp_path / "graph.png")

    # Far out the graph shows names alone; the asset's page tells the rest.
    page.goto("/assets")
    page.get_by_role("link").get_by_text("joined_profiles", exact=True).first.click()
    expect(page.get_by_text("One cell a row: its compartments side by side")).to_be_visible()
    for told in ("profiles", "data-stewards", "Iceberg", "Parquet", "build_plates"):
        expect(page.get_by_text(told, exact=True).first).to_be_visible()
    code = page.get_by_role("link").filter(has_text="joined_profiles.py")
    expect(code).to_have_attribute("href", lambda_free_suffix("assets/joined_profiles.py"))
    page.screenshot(path=tmp_path / "asset.png")

    page.get_by_role("tab").get_by_text("Partitions", exact=True).click()
    for plate in (plates.plain, plates.untouched, plates.awkward):
        expect(page.get_by_text(plate.partition_key, exact=True).first).to_be_attached()
    page.screenshot(path=tmp_path / "partitions.png")
