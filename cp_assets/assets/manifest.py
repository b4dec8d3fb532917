"""The asset ``manifest``."""

from typing import Any

import dagster as dg

from cp_assets.assets.specification import table_asset
from cp_assets.building.steps import build_manifest
from cp_assets.provenance.manifest import MANIFEST
from cp_assets.resources import DatasetsResource, WarehouseResource
from cp_assets.running.steps import plate_step


@dg.asset(
    **table_asset(
        MANIFEST,
        kinds={"iceberg", "parquet"},
        deps=(
            "raw_measurements",
            "joined_profiles",
            "image_assets",
            "chunk_index",
            "image_crops",
            "source_images",
            "profile_with_images",
        ),
    )
)
def manifest(
    context: dg.AssetExecutionContext, datasets: DatasetsResource, warehouse: WarehouseResource
) -> Any:
    """What was committed of the plate, with etags, and the permalinks of what made it."""
    with plate_step(context):
        return build_manifest(datasets.plate(context.partition_key), warehouse.open())
