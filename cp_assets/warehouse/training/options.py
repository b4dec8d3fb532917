"""What to train on: which crops, in which shape and order."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from cp_assets.errors import ConfigurationError
from cp_assets.warehouse.query import Selection
from cp_assets.warehouse.view_sql import CROPS

if TYPE_CHECKING:
    from collections.abc import Sequence

_SELECTION = ("dataset", "batch", "plate", "well", "site", "where")


@dataclass(frozen=True, kw_only=True)
class CropOptions:
    """Which crops of ``images.image_crops`` to read, and how.

    Attributes
    ----------
    channels
        Names as in ``Metadata_Channel``, in the order of the batches' C axis.
    size
        Height and width of every crop, pixels. Pixel ``n // 2`` of a crop of ``n`` pixels, counted
        from 0 along each axis, becomes pixel ``size // 2``: larger crops are cut around it, smaller
        ones are surrounded by zeros.
    batch_size
        Objects of a batch; the last one may have fewer.
    shuffle
        Seed of a random order; None for the order of the table (well, site, object). See
        `cp_assets.warehouse.training.order` for what is mixed.
    masks
        Read the objects' masks too. Objects without one are left out, and counted.
    window
        Row groups that are in memory to be mixed, some 5 MB of pixels each.
    threads
        Threads that read and decode; by default one a processor, at most 8.
    dataset, batch, plate, well, site, where
        As in `Warehouse.read_table`; ``where`` is over any column but the payloads.

    Raises
    ------
    ConfigurationError
        If a value cannot be used.
    """

    channels: Sequence[str]
    size: int = 96
    batch_size: int = 256
    shuffle: int | None = None
    masks: bool = False
    window: int = 16
    threads: int | None = None
    dataset: str | Sequence[str] | None = None
    batch: str | Sequence[str] | None = None
    plate: str | Sequence[str] | None = None
    well: str | Sequence[str] | None = None
    site: str | int | Sequence[str] | None = None
    where: str | None = None

    def __post_init__(self) -> None:
        names = () if isinstance(self.channels, str) else tuple(self.channels)
        if not names or len(set(names)) != len(names):
            msg = f"channels is {self.channels!r}: expected a list of different channel names"
            raise ConfigurationError(msg)
        for name in ("size", "batch_size", "window"):
            if getattr(self, name) < 1:
                msg = f"{name} is {getattr(self, name)}: expected a number of 1 or more"
                raise ConfigurationError(msg)
        if isinstance(self.shuffle, bool) or (self.shuffle is not None and self.shuffle < 0):
            msg = f"shuffle is {self.shuffle}: expected a seed, 0 or more, or None for no shuffling"
            raise ConfigurationError(msg)

    @property
    def workers(self) -> int:
        """Threads to read and decode with."""
        return max(1, self.threads or min(8, os.cpu_count() or 1))

    def selection(self) -> Selection:
        """Which rows of ``images.image_crops``."""
        return Selection(table=CROPS, **{name: getattr(self, name) for name in _SELECTION})


def crop_options(given: dict[str, object]) -> CropOptions:
    """Options from keyword arguments.

    Raises
    ------
    ConfigurationError
        If one is unknown, or ``channels`` is missing.
    """
    known = [field.name for field in fields(CropOptions)]
    unknown = sorted(set(given) - set(known))
    if unknown or "channels" not in given:
        wrong = f"no option {', '.join(unknown)}" if unknown else "channels is missing"
        msg = f"crops of a warehouse: {wrong}; expected channels=[...] and any of {known}"
        raise ConfigurationError(msg)
    return CropOptions(**given)  # type: ignore[arg-type]
