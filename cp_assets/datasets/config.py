"""``cp_assets.yaml``: the datasets that a code location knows, and its warehouse."""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import BaseModel, ByteSize, ConfigDict, ValidationError

from cp_assets.datasets.layouts import check_unique, detect_layout
from cp_assets.datasets.model import Border, Dataset, ImageOptions, Layout
from cp_assets.errors import ConfigurationError, PlateNotFoundError

if TYPE_CHECKING:
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
    """

    path: Path | None = None
    warehouse: str | None = None
    datasets: tuple[Dataset, ...] = ()

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
    recipe_permalink: str | None = _LEFT_OUT
    config_permalink: str | None = _LEFT_OUT


class _File(_Strict):
    warehouse: str | None = None
    datasets: tuple[_Dataset, ...] = ()


_MODELS: dict[int, type[_Strict]] = {1: _File, 3: _Dataset, 4: _Images}
"""Parts of a key's place, such as ``datasets.0.root`` -> the model whose key it is."""


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
        datasets = tuple(_dataset(entry, file.resolve()) for entry in parsed.datasets)
    except ConfigurationError as error:
        msg = f"configuration {file}: {error}"
        raise ConfigurationError(msg) from error
    check_unique(datasets)
    warehouse = parsed.warehouse
    if warehouse is not None and "/" in warehouse and not Path(warehouse).is_absolute():
        warehouse = str(base / warehouse)
    return Configuration(file, warehouse, datasets)


def _told(fault: ErrorDetails) -> str:
    """What is wrong, after the place of it."""
    place = [str(part) for part in fault["loc"]]
    if fault["type"] != "extra_forbidden":
        return f"{'.'.join(place)}: {fault['msg']}"
    known = _MODELS[len(place)].model_fields
    near = get_close_matches(place[-1].lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"{'.'.join(place)}: no such key; {hint}"


def _dataset(entry: _Dataset, file: Path) -> Dataset:
    given = entry.model_dump(exclude_unset=True, exclude={"images"})
    for name in ("root", "image_dir", "mask_dir", "outline_dir"):
        if given.get(name) is not None:
            given[name] = file.parent / given[name].expanduser()
    if "annotations" in given:
        named = given["annotations"]
        given["annotations"] = tuple(file.parent / path.expanduser() for path in named)
    given["layout"] = entry.layout or detect_layout(given["root"])
    images = ImageOptions(**entry.images.model_dump(exclude_unset=True))
    return Dataset(**given, images=images, config_file=file)
