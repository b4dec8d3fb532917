"""The asset ``source_images``."""

from typing import Any

import dagster as dg

from cp_assets.assets.specification import IMAGE_WORK, table_asset
from cp_assets.building.steps import build_source_images
from cp_assets.images import SOURCE_IMAGES
from cp_assets.resources import DatasetsResource, WarehouseResource
from cp_assets.running.steps import plate_step


@dg.asset(
    **table_asset(
        SOURCE_IMAGES,
        kinds={"iceberg", "omearrow"},
        pool=IMAGE_WORK,
        deps=(
            "image_files",
            "raw_measurements",
        ),
    )
)
def source_images(
    context: dg.AssetExecutionContext, datasets: DatasetsResource, warehouse: WarehouseResource
) -> Any:
    """Whole source images; off unless the dataset asks for them."""
    with plate_step(context):
        return build_source_images(datasets.plate(context.partition_key), warehouse.open())
