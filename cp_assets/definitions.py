"""The code location: the one place where everything meets."""

import warnings

import dagster as dg
from dagster_duckdb import DuckDBResource

from cp_assets.assets.chunk_index import chunk_index
from cp_assets.assets.image_assets import image_assets
from cp_assets.assets.image_crops import image_crops
from cp_assets.assets.input_files import input_files
from cp_assets.assets.joined_profiles import joined_profiles
from cp_assets.assets.maintenance import MAINTENANCE, maintain_tables, weekly_maintenance
from cp_assets.assets.manifest import manifest
from cp_assets.assets.profile_with_images import profile_with_images
from cp_assets.assets.raw_measurements import raw_measurements
from cp_assets.assets.source_images import source_images
from cp_assets.assets.specification import IO_MANAGER
from cp_assets.checks.asset_checks import asset_checks
from cp_assets.resources import DatasetsResource, IcebergIOManager, WarehouseResource
from cp_assets.running.failure_sensor import failed_runs
from cp_assets.running.jobs import build_plates
from cp_assets.running.run_logs import console_logger
from cp_assets.sensors.loading import configured_sensors

with warnings.catch_warnings():
    # Links from asset to code are a beta feature of Dagster 1.13.
    warnings.simplefilter("ignore", dg.BetaWarning)
    ASSETS = dg.with_source_code_references(
        [
            input_files,
            raw_measurements,
            joined_profiles,
            image_assets,
            chunk_index,
            image_crops,
            source_images,
            profile_with_images,
            manifest,
            *MAINTENANCE,
        ]
    )

_datasets = DatasetsResource.configure_at_launch()
_warehouse = WarehouseResource.configure_at_launch(datasets=_datasets)

defs = dg.Definitions(
    assets=ASSETS,
    asset_checks=asset_checks(),
    jobs=[build_plates, maintain_tables],
    schedules=[weekly_maintenance],
    sensors=[*configured_sensors(), failed_runs],
    resources={
        "datasets": _datasets,
        "warehouse": _warehouse,
        # Checks over millions of keys spill to disk instead of filling memory.
        "duckdb": DuckDBResource(database=":memory:", connection_config={"memory_limit": "1GB"}),
        IO_MANAGER: IcebergIOManager(warehouse=_warehouse),
    },
    loggers={"console": console_logger},
    # A plate is one process: its steps share what they have loaded, and plates run side by side.
    executor=dg.in_process_executor,
)
