"""What the guides tell readers to type does what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cp_assets.sample import SampleTruth
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets_tests.docker.compose_file import ROOT

_ENGINES = ROOT / "docs" / "engines.md"
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def test_python_of_the_engines_guide_counts_the_cells(
    built: Warehouse, small_sample: SampleTruth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")
    folder = Path(built.name)
    monkeypatch.chdir(folder.parent)
    assert folder.name == "warehouse"
    well = small_sample.cells[0].well
    expected = sum(cell.well == well for cell in small_sample.cells)
    examples = re.findall(r"```python\n(.*?)```", _ENGINES.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 5
    names: dict[str, Any] = {}
    for example in examples:
        names.pop("cells", None)
        exec(example.replace("A01", well), names)  # noqa: S102 - our own guide
        assert names["cells"] == expected > 0, example


@pytest.mark.parametrize("guide", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_links_of_the_guide_lead_somewhere(guide: Path) -> None:
    links = _LINK.findall(guide.read_text(encoding="utf-8"))
    assert links
    assert not [link for link in links if not (guide.parent / link).exists()]
