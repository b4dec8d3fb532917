"""How a dataset is watched for plates that are new, changed or gone."""

from __future__ import annotations

from dataclasses import dataclass, fields

from cp_assets.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class SensorOptions:
    """Options of a dataset's sensor.

    Attributes
    ----------
    enabled
        Whether the sensor runs without being switched on in the UI.
    interval
        Seconds between two ticks, at least.
    quiet_seconds
        How long nothing of a plate may have changed before it counts as uploaded.
    plates_per_tick
        Plates whose files are listed in one tick, at most.
    runs_per_tick
        Runs requested in one tick, at most; 0 to request none and leave that to automation
        conditions or to people.
    tick_seconds
        How long a tick lists files, in seconds. Dagster ends a tick after 60 s, or what
        ``DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS`` says.

    Raises
    ------
    ConfigurationError
        If a value cannot be.
    """

    enabled: bool = False
    interval: int = 60
    quiet_seconds: int = 300
    plates_per_tick: int = 50
    runs_per_tick: int = 10
    tick_seconds: int = 30

    def __post_init__(self) -> None:
        lowest = {
            "interval": 1,
            "quiet_seconds": 0,
            # Of one plate a tick, a plate that never ends uploading would take all ticks.
            "plates_per_tick": 2,
            "runs_per_tick": 0,
            "tick_seconds": 1,
        }
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in lowest and value < lowest[field.name]:
                msg = f"sensor.{field.name} is {value}; expected {lowest[field.name]} or more"
                raise ConfigurationError(msg)
