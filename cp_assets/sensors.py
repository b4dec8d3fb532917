"""Sensors: plates that appear below the configured datasets become partitions."""

import dagster as dg

from cp_assets.datasets import find_plates
from cp_assets.errors import PlateNotFoundError
from cp_assets.resources import DatasetsResource


@dg.sensor(
    name="new_plates",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    asset_selection=dg.AssetSelection.assets("raw_measurements"),
    description="Adds a partition for each plate of the configured datasets; starts no run.",
)
def plates_sensor(
    context: dg.SensorEvaluationContext, datasets: DatasetsResource
) -> dg.SensorResult:
    """Add the partitions of new plates, in sorted order."""
    known = set(context.instance.get_dynamic_partitions("plates"))
    found: set[str] = set()
    for dataset in datasets.configuration().datasets:
        try:
            found.update(plate.partition_key for plate in find_plates(dataset))
        except PlateNotFoundError as error:
            context.log.warning("%s", error)
    new = sorted(found - known)
    request = dg.AddDynamicPartitionsRequest(partitions_def_name="plates", partition_keys=new)
    return dg.SensorResult(dynamic_partitions_requests=[request] if new else [])
