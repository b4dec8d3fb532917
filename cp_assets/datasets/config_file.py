"""What may stand in ``cp_assets.yaml``, as pydantic checks it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict

from cp_assets.datasets.alert_options import AlertOptions
from cp_assets.datasets.durations import duration
from cp_assets.datasets.model import Border, Layout, Measurements
from cp_assets.datasets.presets import Container


class Strict(BaseModel):
    """Refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_LEFT_OUT: Any = None
"""Stands for a key that is not in the file: the model, not the file, has the defaults."""


class ImagesEntry(Strict):
    """How images are found and cut; see `cp_assets.datasets.ImageOptions`."""

    include_source_images: bool = _LEFT_OUT
    channels: tuple[str, ...] | None = _LEFT_OUT
    path_prefix_map: dict[str, str] = _LEFT_OUT
    bbox_column_map: dict[Literal["x_min", "x_max", "y_min", "y_max"], str] | None = _LEFT_OUT
    segmentation_file_regex: dict[str, str] | None = _LEFT_OUT
    follow_links: bool = _LEFT_OUT
    wells: tuple[str, ...] | None = _LEFT_OUT
    sites: tuple[str, ...] | None = _LEFT_OUT
    box_compartment: str | None = _LEFT_OUT
    padding: int = _LEFT_OUT
    crop_size: int | None = _LEFT_OUT
    border: Border = _LEFT_OUT
    zstd_level: int | None = _LEFT_OUT
    workers: int = _LEFT_OUT
    max_memory: ByteSize = _LEFT_OUT


class SensorEntry(Strict):
    """How plates are watched; see `cp_assets.datasets.sensor_options.SensorOptions`."""

    enabled: bool = _LEFT_OUT
    interval: int = _LEFT_OUT
    quiet_seconds: int = _LEFT_OUT
    plates_per_tick: int = _LEFT_OUT
    runs_per_tick: int = _LEFT_OUT
    tick_seconds: int = _LEFT_OUT


class PresetEntry(Strict):
    """A dialect; see `cp_assets.datasets.Preset`."""

    extends: str | None = None
    doc: str = _LEFT_OUT
    container: Container = _LEFT_OUT
    endings: tuple[str, ...] = _LEFT_OUT
    image_table: str = _LEFT_OUT
    object_tables: str = _LEFT_OUT
    compartment: str = _LEFT_OUT
    side_by_side: str | None = _LEFT_OUT
    not_measurements: tuple[str, ...] = _LEFT_OUT
    image_number: str = _LEFT_OUT
    object_number: str = _LEFT_OUT
    table_number: str | None = _LEFT_OUT
    image_prefix: str = _LEFT_OUT
    object_prefix: str = _LEFT_OUT
    anchor: str | None = _LEFT_OUT
    compartments: tuple[str, ...] | None = _LEFT_OUT
    parents: dict[str, tuple[str, ...]] = _LEFT_OUT


def _name_or_preset(given: object) -> object:
    """A preset's name stands for that preset as it is."""
    return {"extends": given} if isinstance(given, str) else given


class DatasetEntry(Strict):
    """A dataset, or with ``*`` in its root several; see `cp_assets.datasets.Dataset`."""

    dataset_id: str | None = None
    root: str
    layout: Layout | None = _LEFT_OUT
    batch_id: str | None = _LEFT_OUT
    plate_id: str | None = _LEFT_OUT
    image_dir: str | None = _LEFT_OUT
    mask_dir: str | None = _LEFT_OUT
    outline_dir: str | None = _LEFT_OUT
    images: ImagesEntry = ImagesEntry()
    anchor: str | None = _LEFT_OUT
    compartments: tuple[str, ...] | None = _LEFT_OUT
    column_types: dict[str, Literal["float", "int", "string"]] = _LEFT_OUT
    annotations: tuple[str, ...] = _LEFT_OUT
    image_columns: tuple[str, ...] | None = _LEFT_OUT
    drop_empty_rows: bool = _LEFT_OUT
    parents: dict[str, tuple[str, ...]] = _LEFT_OUT
    preset: Annotated[PresetEntry, BeforeValidator(_name_or_preset)] | None = _LEFT_OUT
    measurements: Measurements = _LEFT_OUT
    recipe_permalink: str | None = _LEFT_OUT
    config_permalink: str | None = _LEFT_OUT
    sensor: SensorEntry = SensorEntry()


class StoreEntry(Strict):
    """How a store is reached; see `cp_assets.stores.StoreOptions`."""

    anonymous: bool = _LEFT_OUT
    profile: str | None = _LEFT_OUT
    region: str | None = _LEFT_OUT
    endpoint_url: str | None = _LEFT_OUT
    path_style: bool | None = _LEFT_OUT
    attempts: int = _LEFT_OUT
    timeout_seconds: float = _LEFT_OUT


Span = Annotated[timedelta, BeforeValidator(duration)]


class MaintenanceEntry(Strict):
    """What maintenance keeps; see `cp_assets.datasets.maintenance.MaintenanceOptions`."""

    older_than: Span = _LEFT_OUT
    keep_snapshots: int = _LEFT_OUT
    grace: Span = _LEFT_OUT


class ConfigFile(Strict):
    """The whole file."""

    warehouse: str | None = None
    sensor: SensorEntry = SensorEntry()
    stores: dict[str, StoreEntry] = {}
    maintenance: MaintenanceEntry = MaintenanceEntry()
    alerts: AlertOptions = AlertOptions()
    presets: dict[str, PresetEntry] = {}
    datasets: tuple[DatasetEntry, ...] = ()
