"""Datasets that are described together: a root with ``*`` stands for all folders that fit.

``s3://cellpainting-gallery/cpg0016-jump/*`` is every source of the project. ``{project}`` and
``{source}`` in an entry stand for the names of the last two folders of each root.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from cp_assets.datasets.listing import on_each, subfolders
from cp_assets.datasets.sensor_options import SensorOptions
from cp_assets.errors import ConfigurationError
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Callable

    from cp_assets.datasets.model import Dataset
    from cp_assets.stores import Place

DEFAULT_ID = "{project}-{source}"
"""Id of a dataset of a pattern that says none."""

_NAMES = re.compile(r"\{(?:project|source)\}")


@dataclass(frozen=True)
class DatasetSource:
    """The datasets of one entry.

    Attributes
    ----------
    dataset_id
        The id; of a pattern, with ``{project}`` and ``{source}``.
    look_up
        Finds the datasets.
    sensor
        How they are watched.
    """

    dataset_id: str
    look_up: Callable[[], tuple[Dataset, ...]]
    sensor: SensorOptions = field(default_factory=SensorOptions)

    @cached_property
    def datasets(self) -> tuple[Dataset, ...]:
        """The datasets, looked up once."""
        return self.look_up()

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the datasets; they are looked up only where a pattern leaves the ids open."""
        if _NAMES.search(self.dataset_id) is None:
            return (self.dataset_id,)
        return tuple(dataset.dataset_id for dataset in self.datasets)

    def may_have(self, dataset_id: str) -> bool:
        """Whether a dataset may be one of these, by its id."""
        fixed = _NAMES.split(self.dataset_id)
        return re.fullmatch(".+".join(map(re.escape, fixed)), dataset_id) is not None


def filled(text: str, root: Place) -> str:
    """A text with the names of a root in it."""
    return text.replace("{project}", root.parent.name).replace("{source}", root.name)


def is_pattern(root: Place) -> bool:
    """Whether a root stands for several.

    Raises
    ------
    ConfigurationError
        If it is a pattern of buckets.
    """
    if isinstance(root, ObjectPath) and "*" in root.bucket:
        msg = f"{root}: expected the name of one bucket, and * below it"
        raise ConfigurationError(msg)
    return any("*" in part for part in root.parts)


def matching(pattern: Place) -> tuple[Place, ...]:
    """Folders that a pattern stands for, sorted; hidden ones are none.

    One listing for each folder in which names are compared.
    """
    fixed = next(one for one in pattern.parents if not is_pattern(one))
    names = pattern.parts[len(fixed.parts) :]
    found: list[Place] = [fixed]
    for name in names:
        expression = re.compile(".*".join(map(re.escape, name.split("*"))), re.DOTALL)
        found = [
            folder
            for folders in on_each(subfolders, found, fixed)
            for folder in folders
            if expression.fullmatch(folder.name)
        ]
    return tuple(found)
