"""The sensors of the datasets that are configured when the code location is loaded."""

import logging

import dagster as dg

from cp_assets.errors import CpAssetsError
from cp_assets.resources import DatasetsResource
from cp_assets.sensors.naming import sensor_names
from cp_assets.sensors.plate_sensor import plate_sensor

logger = logging.getLogger(__name__)


def configured_sensors() -> list[dg.SensorDefinition]:
    """One sensor a dataset of ``cp_assets.yaml``.

    Where that file cannot be read, assets and runs of before stay in sight, and one sensor that is
    always on fails with what is wrong.
    """
    try:
        options = DatasetsResource().configuration().sensors
    except (CpAssetsError, OSError) as error:
        logger.error("there are no sensors of plates: %s", error)  # noqa: TRY400 - says enough
        return [_configuration_sensor(str(error))]
    names = sensor_names(options)
    return [plate_sensor(name, one, options[one]) for one, name in names.items()]


def _configuration_sensor(fault: str) -> dg.SensorDefinition:
    @dg.sensor(
        name="configuration_cannot_be_read",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Datasets have no sensors: {fault}. Mend that, and reload the code location.",
    )
    def sensor(datasets: DatasetsResource) -> dg.SkipReason:
        datasets.configuration()
        return dg.SkipReason("the configuration can be read again: reload the code location")

    return sensor
