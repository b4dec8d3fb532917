"""What a data steward does in Dagster's UI: look at the graph, build plates, see what came of it.

All is done by clicking. GraphQL is asked only for what the open-source UI does not show.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cp_assets.checks.asset_checks import CHECKS
from cp_assets.warehouse.warehouse import open_warehouse

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from cp_assets_tests.ui.conftest import Plates
    from cp_assets_tests.ui.server import DagsterUI

pytestmark = pytest.mark.browser

GROUPS = {
    "profiles": ("raw_measurements", "joined_profiles", "profile_with_images"),
    "images": ("image_assets", "chunk_index", "image_crops", "source_images"),
    "provenance": ("manifest",),
}
ASSETS = [asset for assets in GROUPS.values() for asset in assets]
CHECK_NAMES = {
    spec.identifier[1]: sorted(check.name for check in checks) for spec, checks in CHECKS.items()
}
# The daemon looks at backfills every 30 seconds: to start their runs, and again to see them end.
BACKFILL_MS = 200_000
_LINEAGE = """query Lineage($asset: String!) {
  assetNodeOrError(assetKey: {path: [$asset]}) { ... on AssetNode {
    assetMaterializations(limit: 1) { metadataEntries { ... on TableColumnLineageMetadataEntry {
      lineage { columnName columnDeps { assetKey { path } columnName } } } } } } } }"""
ENDED = ("Succeeded", "Failed", "Canceled")


def test_graph_and_asset_page_say_what_is_there(page: Page, plates: Plates, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    open_graph(page)
    page.screenshot(path=tmp_path / "graph.png")

    open_from_catalog(page, "joined_profiles")
    expect(page.get_by_text("One cell a row: its compartments side by side")).to_be_visible()
    for told in ("profiles", "data-stewards", "Iceberg", "Parquet", "build_plates"):
        expect(page.get_by_text(told, exact=True).first).to_be_visible()
    code = page.get_by_role("link").filter(has_text="joined_profiles.py")
    expect(code).to_have_attribute("href", re.compile(r"cp_assets/assets/joined_profiles\.py"))
    page.screenshot(path=tmp_path / "asset.png")

    page.get_by_role("tab", name="Partitions").click()
    expect(page.get_by_text(re.compile(r"^3 Partitions"))).to_be_visible()
    for plate in (plates.plain, plates.untouched, plates.awkward):
        expect(page.get_by_title(plate.partition_key).first).to_be_visible()
    page.screenshot(path=tmp_path / "partitions.png")


@pytest.mark.slow
def test_backfill_of_two_plates_by_clicking(
    page: Page, ui: DagsterUI, plates: Plates, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    open_graph(page)
    launch_backfill(page, [plates.plain.partition_key, plates.awkward.partition_key], tmp_path)

    # The note about the new backfill leads to its page, which refreshes by itself.
    page.get_by_text("View", exact=True).click()
    expect(page).to_have_url(re.compile(r"/runs/b/"))
    ended = page.locator(", ".join(f"[data-tooltip='{state}']" for state in ENDED))
    expect(ended).to_be_visible(timeout=BACKFILL_MS)
    page.screenshot(path=tmp_path / "backfill.png")
    expect(ended).to_have_text("Succeeded")
    for plate in (plates.plain, plates.awkward):
        expect(page.get_by_text(plate.partition_key, exact=True).first).to_be_visible()
    expect(page.get_by_text("100% completed")).to_have_count(len(ASSETS))

    page.get_by_role("tab", name="Runs").click()
    expect(page.get_by_text("Success", exact=True)).to_have_count(2)
    page.screenshot(path=tmp_path / "runs.png")

    for asset in ("joined_profiles", "image_crops"):
        sees_checks_green(page, asset)
        page.screenshot(path=tmp_path / f"{asset}-checks.png")
        sees_picture(page, asset)
        page.screenshot(path=tmp_path / f"{asset}-picture.png")
    sees_only_chosen_plates_built(page, plates)
    page.screenshot(path=tmp_path / "built.png")

    # The page remembers which groups were unfolded.
    page.get_by_role("link").get_by_text("Lineage", exact=True).click()
    for asset, names in CHECK_NAMES.items():
        node = page.locator("foreignObject").filter(has_text=asset)
        expect(node.get_by_text(f"{len(names)} / {len(names)} Passed")).to_be_visible()
    page.screenshot(path=tmp_path / "graph.png")

    warehouse = open_warehouse(plates.home.warehouse)
    assert set(warehouse.plates("profiles.joined_profiles")) == {plates.plain, plates.awkward}
    assert lineage_of(ui, "joined_profiles")["Cells_AreaShape_Area"] == [
        ("raw_measurements", "AreaShape_Area")
    ]


def open_graph(page: Page) -> None:
    """Click to the graph, unfold its groups, and see every asset in it."""
    from playwright.sync_api import expect

    page.goto("/")
    page.get_by_role("link").get_by_text("Lineage", exact=True).click()
    nodes = page.locator("foreignObject")
    for group in GROUPS:
        # Folded, a group is one box; unfolded, its header offers to fold it again.
        folded = nodes.filter(has_text=group).filter(
            has=page.get_by_role("img", name="unfold_more")
        )
        folded.click()
        expect(folded).to_have_count(0)
        # Opened anew, the graph is fitted to the window; until then it draws only what is in sight.
        page.reload()
    for asset in ASSETS:
        expect(nodes.get_by_text(asset, exact=True).first).to_be_visible()
        expect(nodes.filter(has_text=asset).get_by_text("3 partitions")).to_be_visible()


def launch_backfill(page: Page, keys: list[str], tmp_path: Path) -> None:
    from playwright.sync_api import expect

    # Of plates alone: maintenance is materialized by its schedule.
    page.locator(".CodeMirror").first.click()
    page.keyboard.type(" or ".join(f"group:{group}" for group in GROUPS))
    page.keyboard.press("Enter")
    expect(page.locator("foreignObject").filter(has_text="maintenance")).to_have_count(0)
    page.get_by_role("button").filter(has_text="Materialize all").click()
    dialog = page.get_by_role("dialog").filter(has_text=f"materialize {len(ASSETS)} assets")
    dialog.get_by_text("Select a partition or create one").click()
    menu = page.get_by_role("menu")
    for key in keys:
        menu.get_by_title(key, exact=True).last.click()
    page.screenshot(path=tmp_path / "choosing.png")
    page.keyboard.press("Escape")
    expect(dialog.get_by_text(f"{len(keys)} partitions", exact=True)).to_be_visible()
    dialog.get_by_role("button").filter(has_text="Launch backfill").click()
    expect(page.get_by_text("Created backfill")).to_be_visible()


def open_from_catalog(page: Page, asset: str) -> None:
    page.goto("/assets")
    page.get_by_role("link").filter(has_text=asset).first.click()
    page.get_by_role("tab", name="Overview").wait_for()


def sees_checks_green(page: Page, asset: str) -> None:
    from playwright.sync_api import expect

    open_from_catalog(page, asset)
    page.get_by_role("tab", name="Checks").click()
    names = CHECK_NAMES[asset]
    expect(page.get_by_text(f"Checks ({len(names)})", exact=True)).to_be_visible()
    expect(page.get_by_text("Succeeded", exact=True)).to_have_count(len(names))
    for name in names:
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.get_by_text("Passed", exact=True).first).to_be_visible()


def sees_picture(page: Page, asset: str) -> None:
    """The preview among the materialization's metadata, a PNG that the browser really drew."""
    from playwright.sync_api import expect

    open_from_catalog(page, asset)
    page.locator("tr").filter(has_text="(picture)").get_by_text("[Show Markdown]").click()
    picture = page.get_by_role("dialog").locator("img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300


def sees_only_chosen_plates_built(page: Page, plates: Plates) -> None:
    """The awkward plate's own page opens by its key; the third plate is still missing."""
    from playwright.sync_api import expect

    open_from_catalog(page, "joined_profiles")
    page.get_by_role("tab", name="Partitions").click()
    expect(page.get_by_text("Materialized (2)")).to_be_visible()
    expect(page.get_by_text("Missing (1)")).to_be_visible()
    page.get_by_title(plates.awkward.partition_key, exact=True).first.click()
    expect(page.get_by_text("dagster/partition_row_count")).to_be_visible()
    expect(page.get_by_text("No partition selected")).to_have_count(0)


def lineage_of(ui: DagsterUI, asset: str) -> dict[str, list[tuple[str, str]]]:
    """Column lineage of an asset's newest materialization; only Dagster+ draws it."""
    node = ui.graphql(_LINEAGE, asset=asset)["assetNodeOrError"]
    columns = [
        column
        for entry in node["assetMaterializations"][0]["metadataEntries"]
        for column in entry.get("lineage", ())
    ]
    return {
        column["columnName"]: [
            (source["assetKey"]["path"][-1], source["columnName"])
            for source in column["columnDeps"]
        ]
        for column in columns
    }
