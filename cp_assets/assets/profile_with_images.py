"""The asset ``profile_with_images``."""

from typing import Any

import dagster as dg

from cp_assets.assets.specification import table_asset
from cp_assets.building.links import PROFILE_WITH_IMAGES
from cp_assets.building.steps import build_profile_with_images
from cp_assets.resources import DatasetsResource, WarehouseResource
from cp_assets.running.steps import plate_step


@dg.asset(
    **table_asset(
        PROFILE_WITH_IMAGES,
        kinds={"iceberg", "parquet"},
        # By its namespace, the folded graph would run from profiles to images and back.
        group="images",
        deps=(
            "joined_profiles",
            # Only its checks read these: which profiles have images.
            "image_assets",
            "image_crops",
        ),
    )
)
def profile_with_images(
    context: dg.AssetExecutionContext, datasets: DatasetsResource, warehouse: WarehouseResource
) -> Any:
    """Which crop belongs to which profile: keys and ids, read as one joined view."""
    with plate_step(context):
        return build_profile_with_images(datasets.plate(context.partition_key), warehouse.open())
