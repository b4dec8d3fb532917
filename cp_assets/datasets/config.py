"""``cp_assets.yaml``: the datasets that a code location knows, and its warehouse."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ValidationError

from cp_assets.datasets.alert_options import AlertOptions, SmtpOptions
from cp_assets.datasets.config_file import (
    ConfigFile,
    DatasetEntry,
    ImagesEntry,
    MaintenanceEntry,
    PresetEntry,
    SensorEntry,
    StoreEntry,
    Strict,
)
from cp_assets.datasets.layouts import check_unique, detect_layout, refuse_repeated, split_source
from cp_assets.datasets.maintenance import MaintenanceOptions
from cp_assets.datasets.model import Dataset, ImageOptions, Layout
from cp_assets.datasets.presets import Preset, choose_preset
from cp_assets.datasets.root_patterns import DEFAULT_ID, DatasetSource, filled, is_pattern, matching
from cp_assets.datasets.sensor_options import SensorOptions
from cp_assets.errors import ConfigurationError, PlateNotFoundError
from cp_assets.stores import ObjectPath, StoreOptions, StoreSettings, place
from cp_assets.stores.connections import SCHEMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic_core import ErrorDetails

    from cp_assets.datasets.identity import PlateKey
    from cp_assets.stores import Place

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
    sources
        The datasets as they are described; those in stores are looked up when they are asked for.
    presets
        Dialects that the file defines.
    stores
        How object stores are reached.
    maintenance
        What maintenance keeps, and for how long.
    alerts
        Who is told of a run that failed.
    """

    path: Path | None = None
    warehouse: str | None = None
    sources: tuple[DatasetSource, ...] = ()
    presets: tuple[Preset, ...] = ()
    stores: StoreSettings = field(default_factory=StoreSettings)
    maintenance: MaintenanceOptions = field(default_factory=MaintenanceOptions)
    alerts: AlertOptions = field(default_factory=AlertOptions)

    @cached_property
    def datasets(self) -> tuple[Dataset, ...]:
        """All datasets; a pattern stands for those that there are now.

        Raises
        ------
        ConfigurationError
            If an id is given twice.
        """
        return _unique(dataset for source in self.sources for dataset in source.datasets)

    def dataset_of(self, key: PlateKey) -> Dataset:
        """The dataset that a plate belongs to; others are not looked up.

        Raises
        ------
        PlateNotFoundError
            If no dataset has that id.
        """
        return self.dataset_named(key.dataset_id)

    def dataset_named(self, dataset_id: str) -> Dataset:
        """The dataset of an id; see `dataset_of`."""
        near = (source for source in self.sources if source.may_have(dataset_id))
        for dataset in _unique(dataset for source in near for dataset in source.datasets):
            if dataset.dataset_id == dataset_id:
                return dataset
        known = ", ".join(dataset.dataset_id for dataset in self.datasets) or "none"
        msg = f"{self.path or CONFIG_FILE} has no dataset {dataset_id!r}; it has: {known}"
        raise PlateNotFoundError(msg)

    def sensor_of(self, dataset_id: str) -> SensorOptions:
        """How a dataset is watched."""
        near = (source.sensor for source in self.sources if source.may_have(dataset_id))
        return next(near, SensorOptions())


def _unique(datasets: Iterable[Dataset]) -> tuple[Dataset, ...]:
    found = tuple(datasets)
    check_unique(found)
    return found


def read_configuration(path: Path | str | None = None) -> Configuration:
    """Read ``cp_assets.yaml``; paths in it are relative to its folder. No store is asked.

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
        parsed = ConfigFile.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"configuration {file} is not YAML: {error}"
        raise ConfigurationError(msg) from error
    except ValidationError as error:
        msg = f"configuration {file}: {'; '.join(map(_told, error.errors()))}"
        raise ConfigurationError(msg) from error
    base = file.resolve().parent
    try:
        presets = _presets(parsed.presets)
        stores = _stores(parsed.stores)
        reader = _Reader(file.resolve(), presets, stores, parsed.sensor)
        sources = tuple(map(reader.source, parsed.datasets))
        maintenance = MaintenanceOptions(**parsed.maintenance.model_dump(exclude_unset=True))
    except ConfigurationError as error:
        msg = f"configuration {file}: {error}"
        raise ConfigurationError(msg) from error
    refuse_repeated((one.dataset_id, one.root) for one in parsed.datasets if "*" not in one.root)
    warehouse = _warehouse(parsed.warehouse, base)
    return Configuration(
        file, warehouse, sources, presets, stores, maintenance=maintenance, alerts=parsed.alerts
    )


def _warehouse(named: str | None, base: Path) -> str | None:
    """A folder relative to the file's own; a URL, and the name of a catalog, as they are."""
    if named is None or "/" not in named or "://" in named or Path(named).is_absolute():
        return named
    return str(base / named)


def _stores(given: Mapping[str, StoreEntry]) -> StoreSettings:
    unknown = next((one for one in given if one.partition("://")[0] not in SCHEMES), None)
    if unknown is not None:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        msg = f"stores: {unknown} is no URL that begins with {known}"
        raise ConfigurationError(msg)
    options = {
        url: StoreOptions(**one.model_dump(exclude_unset=True)) for url, one in given.items()
    }
    return StoreSettings(options)


def _told(fault: ErrorDetails) -> str:
    """What is wrong, after the place of it."""
    where = [str(part) for part in fault["loc"]]
    if fault["type"] != "extra_forbidden":
        return f"{'.'.join(where)}: {fault['msg']}"
    known = _model_of(where).model_fields
    near = get_close_matches(where[-1].lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"{'.'.join(where)}: no such key; {hint}"


def _model_of(where: list[str]) -> type[BaseModel]:
    """The model that lacks a key at a place such as ``datasets.0.images.padding``."""
    if len(where) == 1:
        return ConfigFile
    if where[0] == "alerts":
        return SmtpOptions if "smtp" in where[1:-1] else AlertOptions
    inner: dict[str, type[Strict]] = {
        "images": ImagesEntry,
        "preset": PresetEntry,
        "sensor": SensorEntry,
    }
    if where[0] == "datasets":
        return next((inner[part] for part in where[2:-1] if part in inner), DatasetEntry)
    models: dict[str, type[Strict]] = {
        "maintenance": MaintenanceEntry,
        "presets": PresetEntry,
        "sensor": SensorEntry,
        "stores": StoreEntry,
    }
    return models[where[0]]


def _presets(given: dict[str, PresetEntry]) -> tuple[Preset, ...]:
    """Presets of the file's own, in its order; each may extend one before it."""
    known: tuple[Preset, ...] = ()
    for name, fields in given.items():
        chosen = choose_preset({**fields.model_dump(exclude_unset=True), "name": name}, known)
        known = (*known, chosen)
    return known


@dataclass(frozen=True)
class _Reader:
    """Makes datasets of the file's entries."""

    file: Path
    presets: tuple[Preset, ...]
    stores: StoreSettings
    sensor: SensorEntry

    def source(self, entry: DatasetEntry) -> DatasetSource:
        """What an entry describes. Of one in a store the options alone are looked at."""
        root = self._place(entry.root)
        sensor = self._sensor(entry)
        if is_pattern(root):
            template = entry.dataset_id or DEFAULT_ID
            self._dataset(entry, root, "cell-painting-gallery")
            return DatasetSource(template, lambda: self._matching(entry, root), sensor)
        if entry.dataset_id is None:
            msg = f"the dataset at {entry.root} has no dataset_id; only one with * in its root may"
            raise ConfigurationError(msg)
        if isinstance(root, ObjectPath):
            self._dataset(entry, root, "cell-painting-gallery")
            found = partial(self._looked_up, entry, root)
            return DatasetSource(entry.dataset_id, lambda: (found(),), sensor)
        dataset = self._looked_up(entry, root)
        return DatasetSource(entry.dataset_id, lambda: (dataset,), sensor)

    def _sensor(self, entry: DatasetEntry) -> SensorOptions:
        """An entry's own options before those of all."""
        of_all = self.sensor.model_dump(exclude_unset=True)
        try:
            return SensorOptions(**{**of_all, **entry.sensor.model_dump(exclude_unset=True)})
        except ConfigurationError as error:
            msg = f"dataset {entry.dataset_id or entry.root}: {error}"
            raise ConfigurationError(msg) from error

    def _matching(self, entry: DatasetEntry, pattern: Place) -> tuple[Dataset, ...]:
        """A gallery prefix for each folder, unless the entry says another layout."""
        layout = entry.layout or "cell-painting-gallery"
        return tuple(self._dataset(entry, root, layout) for root in matching(pattern))

    def _looked_up(self, entry: DatasetEntry, root: Place) -> Dataset:
        return self._dataset(entry, root, entry.layout or detect_layout(root))

    def _dataset(self, entry: DatasetEntry, root: Place, layout: Layout) -> Dataset:
        given = entry.model_dump(exclude_unset=True, exclude={"images", "root", "sensor"})
        if given.get("preset") is not None:
            given["preset"] = choose_preset(given["preset"], self.presets)
        if self.presets:
            given["presets"] = self.presets
        for name in ("image_dir", "mask_dir", "outline_dir"):
            if given.get(name) is not None:
                given[name] = self._place(filled(given[name], root))
        if "annotations" in given:
            named = given["annotations"]
            given["annotations"] = tuple(self._place(filled(path, root)) for path in named)
        given["dataset_id"] = filled(entry.dataset_id or DEFAULT_ID, root)
        given["layout"] = layout
        given["root"], given["file"] = split_source(root, layout)
        images = ImageOptions(**self._images(entry, root))
        return Dataset(**given, images=images, config_file=self.file)

    def _images(self, entry: DatasetEntry, root: Place) -> dict[str, Any]:
        given = entry.images.model_dump(exclude_unset=True)
        if given.get("path_prefix_map"):
            given["path_prefix_map"] = {
                filled(recorded, root): self._mapped(filled(here, root))
                for recorded, here in given["path_prefix_map"].items()
            }
        return given

    def _mapped(self, here: str) -> str | Place:
        """A URL with its options; a folder as it stands."""
        return place(here, self.stores) if "://" in here else here

    def _place(self, text: str) -> Place:
        named = place(text, self.stores)
        return named if isinstance(named, ObjectPath) else self.file.parent / named.expanduser()
