"""The asset ``source_images``."""

from typing import Any

import dagster as dg

from cp_assets.assets.specification import table_asset
from cp_assets.building.steps import build_source_images
from cp_assets.images import SOURCE_IMAGES
from cp_assets.resources import DatasetsResource, WarehouseResource, plain_failures


@dg.asset(
    **table_asset(
        SOURCE_IMAGES,
        kinds={"iceberg", "omearrow"},
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
    with plain_failures():
        return build_source_images(datasets.plate(context.partition_key), warehouse.open())
