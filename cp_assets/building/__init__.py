"""Building a plate: from its sources to its partitions of the tables.

The Dagster assets and `cp_assets.convert` both call the steps of this room, so there is one way to
build a table.
"""

from __future__ import annotations

from cp_assets.building.finished import is_finished
from cp_assets.building.plate_table import (
    NotApplicable,
    PlateBuild,
    PlateTable,
    build_table,
)
from cp_assets.building.steps import STEPS, Step

__all__ = [
    "STEPS",
    "NotApplicable",
    "PlateBuild",
    "PlateTable",
    "Step",
    "build_table",
    "is_finished",
]
