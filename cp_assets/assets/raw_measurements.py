"""The asset ``raw_measurements``."""

from typing import Any

import dagster as dg

from cp_assets.assets.specification import table_asset
from cp_assets.building.steps import build_raw_measurements
from cp_assets.measurements.raw import RAW_MEASUREMENTS
from cp_assets.resources import DatasetsResource, WarehouseResource
from cp_assets.running.steps import plate_step


@dg.asset(
    **table_asset(RAW_MEASUREMENTS, kinds={"cellprofiler", "iceberg"}, deps=("measurement_files",))
)
def raw_measurements(
    context: dg.AssetExecutionContext, datasets: DatasetsResource, warehouse: WarehouseResource
) -> Any:
    """Every row that CellProfiler measured of the plate: all compartments, all columns."""
    with plate_step(context):
        return build_raw_measurements(datasets.plate(context.partition_key), warehouse.open())
