"""Whether a plate has anything to be built, at the price of looking at its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.building.plate_table import is_current
from cp_assets.building.steps import STEPS
from cp_assets.errors import CpAssetsError

if TYPE_CHECKING:
    from collections.abc import Collection

    from cp_assets.datasets.model import PlateSources
    from cp_assets.warehouse.warehouse import Warehouse


def is_finished(
    sources: PlateSources, warehouse: Warehouse, tables: Collection[str] = tuple(STEPS)
) -> bool:
    """Whether the plate's rows of these tables are those of its inputs and of this code.

    A plate that cannot be looked at is not finished: building it says what is wrong.
    """
    try:
        return all(
            is_current(warehouse, step(sources, warehouse))
            for name, step in STEPS.items()
            if name in tables
        )
    except CpAssetsError:
        return False
