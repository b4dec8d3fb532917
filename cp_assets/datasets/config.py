"""``cp_assets.yaml``: the datasets that a code location knows, and its warehouse."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, ValidationError

from cp_assets.datasets.layouts import check_unique, detect_layout, split_source
from cp_assets.datasets.model import Border, Dataset, ImageOptions, Layout, Measurements
from cp_assets.datasets.presets import Container, Preset, choose_preset
from cp_assets.datasets.sensor_options import SensorOptions
from cp_assets.errors import ConfigurationError, PlateNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from cp_assets.datasets.identity import PlateKey

CONFIG_FILE = "cp_assets.yaml"


@dataclass(frozen=True)
class Configuration:
    """What ``cp_assets.yaml`` says.

    Attributes
    ----------
    path
        The file, or None if nothing is configured.
    warehouse
        A folder or the name of a configured PyIceberg catalog; None for the default.
    presets
        Dialects that the file defines.
    sensors
        Dataset id -> how the dataset is watched.
    """

    path: Path | None = None
    warehouse: str | None = None
    datasets: tuple[Dataset, ...] = ()
    presets: tuple[Preset, ...] = ()
    sensors: Mapping[str, SensorOptions] = field(default_factory=dict)

    def dataset_of(self, key: PlateKey) -> Dataset:
        """The dataset that a plate belongs to.

        Raises
        ------
        PlateNotFoundError
            If no dataset has that id.
        """
        for dataset in self.datasets:
            if dataset.dataset_id == key.dataset_id:
                return dataset
        known = ", ".join(dataset.dataset_id for dataset in self.datasets) or "none"
        msg = f"{self.path or CONFIG_FILE} has no dataset {key.dataset_id!r}; it has: {known}"
        raise PlateNotFoundError(msg)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_LEFT_OUT: Any = None
"""Stands for a key that is not in the file: the model, not the file, has the defaults."""


class _Images(_Strict):
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


class _Sensor(_Strict):
    enabled: bool = _LEFT_OUT
    interval: int = _LEFT_OUT
    quiet_seconds: int = _LEFT_OUT
    plates_per_tick: int = _LEFT_OUT
    runs_per_tick: int = _LEFT_OUT
    tick_seconds: int = _LEFT_OUT


class _Preset(_Strict):
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


class _Dataset(_Strict):
    dataset_id: str
    root: Path
    layout: Layout | None = _LEFT_OUT
    batch_id: str | None = _LEFT_OUT
    plate_id: str | None = _LEFT_OUT
    image_dir: Path | None = _LEFT_OUT
    mask_dir: Path | None = _LEFT_OUT
    outline_dir: Path | None = _LEFT_OUT
    images: _Images = _Images()
    anchor: str | None = _LEFT_OUT
    compartments: tuple[str, ...] | None = _LEFT_OUT
    column_types: dict[str, Literal["float", "int", "string"]] = _LEFT_OUT
    annotations: tuple[Path, ...] = _LEFT_OUT
    image_columns: tuple[str, ...] | None = _LEFT_OUT
    drop_empty_rows: bool = _LEFT_OUT
    parents: dict[str, tuple[str, ...]] = _LEFT_OUT
    preset: Annotated[_Preset, BeforeValidator(_name_or_preset)] | None = _LEFT_OUT
    measurements: Measurements = _LEFT_OUT
    recipe_permalink: str | None = _LEFT_OUT
    config_permalink: str | None = _LEFT_OUT
    sensor: _Sensor = _Sensor()


class _File(_Strict):
    warehouse: str | None = None
    sensor: _Sensor = _Sensor()
    presets: dict[str, _Preset] = {}
    datasets: tuple[_Dataset, ...] = ()


def read_configuration(path: Path | str | None = None) -> Configuration:
    """Read ``cp_assets.yaml``; paths in it are relative to its folder.

    Parameters
    ----------
    path
        The file; None for ``CP_ASSETS_CONFIG``, else ``./cp_assets.yaml``, else nothing configured.

    Raises
    ------
    ConfigurationError
        If the file is missing, is no YAML, or says something that is not known.
    """
    named = path or os.environ.get("CP_ASSETS_CONFIG")
    file = Path(named or CONFIG_FILE)
    if not file.is_file():
        if named is None:
            return Configuration()
        msg = f"configuration {file} does not exist; expected a YAML file with `datasets`"
        raise ConfigurationError(msg)
    try:
        parsed = _File.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"configuration {file} is not YAML: {error}"
        raise ConfigurationError(msg) from error
    except ValidationError as error:
        msg = f"configuration {file}: {'; '.join(map(_told, error.errors()))}"
        raise ConfigurationError(msg) from error
    base = file.resolve().parent
    try:
        presets = _presets(parsed.presets)
        datasets = tuple(_dataset(entry, file.resolve(), presets) for entry in parsed.datasets)
        sensors = {entry.dataset_id: _sensor(parsed.sensor, entry) for entry in parsed.datasets}
    except ConfigurationError as error:
        msg = f"configuration {file}: {error}"
        raise ConfigurationError(msg) from error
    check_unique(datasets)
    warehouse = parsed.warehouse
    if warehouse is not None and "/" in warehouse and not Path(warehouse).is_absolute():
        warehouse = str(base / warehouse)
    return Configuration(file, warehouse, datasets, presets, sensors)


def _told(fault: ErrorDetails) -> str:
    """What is wrong, after the place of it."""
    place = [str(part) for part in fault["loc"]]
    if fault["type"] != "extra_forbidden":
        return f"{'.'.join(place)}: {fault['msg']}"
    known = _model_of(place).model_fields
    near = get_close_matches(place[-1].lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"{'.'.join(place)}: no such key; {hint}"


def _model_of(place: list[str]) -> type[_Strict]:
    """The model that lacks a key at a place such as ``datasets.0.images.padding``."""
    if len(place) == 1:
        return _File
    if place[0] != "datasets":
        return _Preset if place[0] == "presets" else _Sensor
    inner: dict[str, type[_Strict]] = {"images": _Images, "preset": _Preset, "sensor": _Sensor}
    return next((inner[part] for part in place[2:-1] if part in inner), _Dataset)


def _presets(given: dict[str, _Preset]) -> tuple[Preset, ...]:
    """Presets of the file's own, in its order; each may extend one before it."""
    known: tuple[Preset, ...] = ()
    for name, fields in given.items():
        chosen = choose_preset({**fields.model_dump(exclude_unset=True), "name": name}, known)
        known = (*known, chosen)
    return known


def _sensor(of_all: _Sensor, entry: _Dataset) -> SensorOptions:
    """A dataset's own options before those of all datasets."""
    own = entry.sensor.model_dump(exclude_unset=True)
    try:
        return SensorOptions(**{**of_all.model_dump(exclude_unset=True), **own})
    except ConfigurationError as error:
        msg = f"dataset {entry.dataset_id}: {error}"
        raise ConfigurationError(msg) from error


def _dataset(entry: _Dataset, file: Path, presets: tuple[Preset, ...]) -> Dataset:
    given = entry.model_dump(exclude_unset=True, exclude={"images", "sensor"})
    if given.get("preset") is not None:
        given["preset"] = choose_preset(given["preset"], presets)
    if presets:
        given["presets"] = presets
    for name in ("root", "image_dir", "mask_dir", "outline_dir"):
        if given.get(name) is not None:
            given[name] = file.parent / given[name].expanduser()
    if "annotations" in given:
        named = given["annotations"]
        given["annotations"] = tuple(file.parent / path.expanduser() for path in named)
    given["layout"] = entry.layout or detect_layout(given["root"])
    given["root"], given["file"] = split_source(given["root"])
    images = ImageOptions(**entry.images.model_dump(exclude_unset=True))
    return Dataset(**given, images=images, config_file=file)
