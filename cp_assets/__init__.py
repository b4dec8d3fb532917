"""cp_assets: Cell Painting prefixes as Apache Iceberg warehouses, plate by plate.

>>> import cp_assets
>>> wh = cp_assets.convert("CellProfiler/", "warehouse", image_dir="images/")  # doctest: +SKIP
>>> wh.read_table("joined_profiles", well="A01")  # doctest: +SKIP
"""

from __future__ import annotations

from cp_assets import cytomining
from cp_assets.contract.front import join_profiles, validate_contract
from cp_assets.conversion import convert
from cp_assets.errors import CpAssetsError
from cp_assets.images.ome_arrow_files import open_as_ome_arrow
from cp_assets.payloads import from_ome_arrow, to_ome_arrow
from cp_assets.warehouse.parquet import describe_warehouse, list_tables, read_table
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse

__all__ = [
    "CpAssetsError",
    "Warehouse",
    "convert",
    "cytomining",
    "describe_warehouse",
    "from_ome_arrow",
    "join_profiles",
    "list_tables",
    "open_as_ome_arrow",
    "open_warehouse",
    "read_table",
    "to_ome_arrow",
    "validate_contract",
]

__version__ = "0.1.0"
