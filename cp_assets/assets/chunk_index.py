"""The asset ``chunk_index``."""

from typing import Any

import dagster as dg

from cp_assets.assets.specification import table_asset
from cp_assets.building.steps import build_chunk_index
from cp_assets.resources import DatasetsResource, WarehouseResource
from cp_assets.running.steps import plate_step
from cp_assets.scanning.tables import CHUNK_INDEX


@dg.asset(
    **table_asset(
        CHUNK_INDEX, kinds={"iceberg"}, deps=("image_files", "raw_measurements", "image_assets")
    )
)
def chunk_index(
    context: dg.AssetExecutionContext, datasets: DatasetsResource, warehouse: WarehouseResource
) -> Any:
    """Where the tiles and chunks of a plate's images lie; of images without chunks, nothing."""
    with plate_step(context):
        return build_chunk_index(datasets.plate(context.partition_key), warehouse.open())
