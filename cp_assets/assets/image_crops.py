"""The asset ``image_crops``."""

from typing import Any

import dagster as dg

from cp_assets.assets.specification import IMAGE_WORK, table_asset
from cp_assets.building.steps import build_image_crops
from cp_assets.images import IMAGE_CROPS
from cp_assets.resources import DatasetsResource, WarehouseResource
from cp_assets.running.steps import plate_step


@dg.asset(
    **table_asset(
        IMAGE_CROPS,
        kinds={"iceberg", "omearrow"},
        pool=IMAGE_WORK,
        deps=(
            "image_files",
            "raw_measurements",
            "joined_profiles",
        ),
    )
)
def image_crops(
    context: dg.AssetExecutionContext, datasets: DatasetsResource, warehouse: WarehouseResource
) -> Any:
    """One crop a cell and channel, with mask and outline, cut from images that are decoded once."""
    with plate_step(context):
        return build_image_crops(datasets.plate(context.partition_key), warehouse.open())
