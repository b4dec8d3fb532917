"""The asset ``joined_profiles``."""

from typing import Any

import dagster as dg

from cp_assets.assets.specification import table_asset
from cp_assets.building.steps import build_joined_profiles
from cp_assets.measurements.joined_columns import JOINED_PROFILES
from cp_assets.resources import DatasetsResource, WarehouseResource
from cp_assets.running.steps import plate_step


@dg.asset(
    **table_asset(
        JOINED_PROFILES,
        kinds={"iceberg", "parquet"},
        deps=(
            "annotation_files",
            "raw_measurements",
        ),
    )
)
def joined_profiles(
    context: dg.AssetExecutionContext, datasets: DatasetsResource, warehouse: WarehouseResource
) -> Any:
    """One cell a row: its compartments side by side, joined through their parent columns."""
    with plate_step(context):
        return build_joined_profiles(datasets.plate(context.partition_key), warehouse.open())
