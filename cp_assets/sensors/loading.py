"""The sensors of the datasets that are configured when the code location is loaded."""

import logging
from collections.abc import Sequence

import dagster as dg

from cp_assets.datasets.sensor_options import SensorOptions
from cp_assets.errors import CpAssetsError, one_line
from cp_assets.resources import DatasetsResource
from cp_assets.sensors.naming import sensor_names
from cp_assets.sensors.plate_sensor import plate_sensor

logger = logging.getLogger(__name__)


def configured_sensors() -> list[dg.SensorDefinition]:
    """One sensor a dataset of ``cp_assets.yaml``.

    What cannot be read leaves assets, runs of before and the sensors of other datasets in sight:
    one sensor that is always on fails with what is wrong.
    """
    try:
        sources = DatasetsResource().configuration().sources
    except (CpAssetsError, OSError) as error:
        return [_configuration_sensor([error])]
    options: dict[str, SensorOptions] = {}
    faults: list[Exception] = []
    for source in sources:
        try:
            options |= dict.fromkeys(source.ids, source.sensor)
        except (CpAssetsError, OSError) as error:
            faults.append(error)
    names = sensor_names(options)
    found = [plate_sensor(names[one], one, of_one) for one, of_one in options.items()]
    return [*found, _configuration_sensor(faults)] if faults else found


def _configuration_sensor(faults: Sequence[Exception]) -> dg.SensorDefinition:
    fault = "; ".join(map(one_line, faults))
    logger.error("there are datasets without sensors: %s", fault)

    @dg.sensor(
        name="configuration_cannot_be_read",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Datasets have no sensors: {fault}. Mend that, and reload the code location.",
    )
    def sensor(datasets: DatasetsResource) -> dg.SkipReason:
        for source in datasets.configuration().sources:
            _ = source.ids
        return dg.SkipReason("the configuration can be read again: reload the code location")

    return sensor
