"""The asset ``image_assets``."""

from typing import Any

import dagster as dg

from cp_assets.assets.specification import table_asset
from cp_assets.building.steps import build_image_assets
from cp_assets.resources import DatasetsResource, WarehouseResource
from cp_assets.running.steps import plate_step
from cp_assets.scanning.tables import IMAGE_ASSETS


@dg.asset(**table_asset(IMAGE_ASSETS, kinds={"iceberg"}, deps=("image_files", "raw_measurements")))
def image_assets(
    context: dg.AssetExecutionContext, datasets: DatasetsResource, warehouse: WarehouseResource
) -> Any:
    """The headers of a plate's images, masks and outlines: sizes, types, chunks; no pixels."""
    with plate_step(context):
        return build_image_assets(datasets.plate(context.partition_key), warehouse.open())
