"""Batches of crops as numpy arrays, decoded in the background in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cp_assets.errors import ConfigurationError, ImageReadError, QueryError
from cp_assets.streams import ordered_map
from cp_assets.warehouse.lookup import OBJECT_ID
from cp_assets.warehouse.training.blocks import Block, BlockReader, Stack
from cp_assets.warehouse.training.options import CropOptions, crop_options
from cp_assets.warehouse.training.order import mixed, shuffled, units
from cp_assets.warehouse.view_sql import CROPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch.utils.data

    from cp_assets.warehouse.warehouse import Warehouse

_Place = tuple[Block, int]


@dataclass(frozen=True)
class CropBatch:
    """Some objects, all channels of each.

    Attributes
    ----------
    pixels
        Shape (N, C, Y, X), in the dtype of the images; C in the order of the channels asked for.
    object_ids, image_ids, plates, wells, sites
        Of each of the N objects; wells and sites are None where they are not known.
    masks
        Shape (N, Y, X), in the dtype of the masks, cut and padded as the pixels are; None unless
        asked for.
    """

    pixels: npt.NDArray[Any]
    object_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    plates: tuple[str, ...]
    wells: tuple[str | None, ...]
    sites: tuple[str | None, ...]
    masks: npt.NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.object_ids)


class CropBatches:
    """Batches of a warehouse's crops; iterate as often as you like.

    The snapshot is the one that was current when this was made. The same warehouse, options and
    epoch give the same batches, for any number of threads.

    Attributes
    ----------
    options
        What was asked for.
    epoch
        Number of the order that a shuffled iteration takes; change it with `set_epoch`.
    skipped
        Objects left out of the iterations so far, since they lack a channel or a mask.
    """

    def __init__(self, warehouse: Warehouse, options: CropOptions) -> None:
        self.options = options
        self.epoch = 0
        self.skipped = 0
        files = warehouse.files
        selected = files.select(warehouse.table(CROPS), options.selection().plate_terms())
        self._reader = BlockReader(files, selected, options)
        self._units = units(files, selected)

    def __iter__(self) -> Iterator[CropBatch]:
        before, found = self.skipped, False
        for batch in self.shard(0, 1):
            found = True
            yield batch
        if not found and self.skipped > before:
            msg = (
                f"{CROPS}: none of {self.skipped - before} objects has all of the channels "
                f"{', '.join(self.options.channels)}; see its column Metadata_Channel for those "
                "that there are"
            )
            raise QueryError(msg)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the iterations that follow, where they are shuffled."""
        self.epoch = epoch

    def shard(self, number: int, shards: int) -> Iterator[CropBatch]:
        """One of several parts of the batches; together they hold every object once.

        Parameters
        ----------
        number
            Of the part, from 0.

        Raises
        ------
        ConfigurationError
            If there is no such part.
        """
        if not 0 <= number < shards:
            msg = f"shard {number} of {shards}: expected a number from 0 to {shards - 1}"
            raise ConfigurationError(msg)
        workers = self.options.workers
        order = self._units
        if self.options.shuffle is not None:
            order = shuffled(order, np.random.default_rng([self.options.shuffle, self.epoch]))
        blocks = ordered_map(self._reader.read, order[number::shards], workers)
        return ordered_map(self._batch, self._batched(self._steps(blocks, number)), 1)

    def torch(self) -> torch.utils.data.IterableDataset[Any]:
        """The same batches as a PyTorch ``IterableDataset``."""
        # Imported here: torch is optional, and takes seconds.
        from cp_assets.warehouse.training.torch_dataset import torch_dataset  # noqa: PLC0415

        return torch_dataset(self)

    def _steps(self, blocks: Iterable[Block], number: int) -> Iterator[list[_Place]]:
        """The objects, in their final order, as each further row group is read."""
        steps = (self._objects(block) for block in blocks)
        if self.options.shuffle is None:
            return steps
        seed = [self.options.shuffle, self.epoch, number]
        return mixed(steps, self.options.window, np.random.default_rng(seed))

    def _objects(self, block: Block) -> list[_Place]:
        self.skipped += block.skipped
        return [(block, i) for i in range(len(block))]

    def _batched(self, steps: Iterable[list[_Place]]) -> Iterator[list[_Place]]:
        size = self.options.batch_size
        ready: list[_Place] = []
        for step in steps:
            ready.extend(step)
            while len(ready) >= size:
                yield ready[:size]
                del ready[:size]
        if ready:
            yield ready

    def _batch(self, places: list[_Place]) -> CropBatch:
        size = self.options.size
        masks = [block.masks[i] for block, i in places] if self.options.masks else []
        keys: dict[str, Any] = {
            name: tuple(block.keys[column][i] for block, i in places)
            for name, column in _KEYS.items()
        }
        return CropBatch(
            pixels=_centred([block.stacks[i] for block, i in places], size),
            masks=_centred(masks, size)[:, 0] if masks else None,
            **keys,
        )


_KEYS = {
    "object_ids": OBJECT_ID,
    "image_ids": "image_id",
    "plates": "plate_id",
    "wells": "well_id",
    "sites": "site_id",
}


def _centred(stacks: list[Stack], size: int) -> npt.NDArray[Any]:
    """All stacks in one array (N, C, size, size): cut or padded around their centres."""
    dtypes = {plane.dtype for stack in stacks for plane in _parts(stack)}
    if len(dtypes) != 1:
        msg = (
            f"{CROPS}: crops of one batch are {' and '.join(sorted(map(str, dtypes)))}; a batch "
            "has one dtype: train on channels and plates of one dtype"
        )
        raise ImageReadError(msg)
    dtype, channels = dtypes.pop(), len(stacks[0])
    # Arrow's pool hands memory out again without the page faults of fresh memory.
    memory = pa.allocate_buffer(len(stacks) * channels * size * size * dtype.itemsize)
    together = np.frombuffer(memory, dtype).reshape(len(stacks), channels, size, size)
    together.fill(0)
    for target, stack in zip(together, stacks, strict=True):
        if isinstance(stack, list):
            for one, plane in zip(target, stack, strict=True):
                _place(one, plane, size)
        else:
            _place(target, stack, size)
    return together


def _parts(stack: Stack) -> list[npt.NDArray[Any]]:
    return stack if isinstance(stack, list) else [stack]


def _place(target: npt.NDArray[Any], pixels: npt.NDArray[Any], size: int) -> None:
    """Copy pixels (..., Y, X) into a target (..., size, size)."""
    to_y, from_y = _overlap(pixels.shape[-2], size)
    to_x, from_x = _overlap(pixels.shape[-1], size)
    target[..., to_y, to_x] = pixels[..., from_y, from_x]


@cache
def _overlap(length: int, size: int) -> tuple[slice, slice]:
    """Where a line of pixels goes in one of ``size``, and which part: ``// 2`` onto ``// 2``."""
    shift = size // 2 - length // 2
    target = slice(max(shift, 0), min(size, length + shift))
    return target, slice(target.start - shift, target.stop - shift)


def open_crops(warehouse: Warehouse, **options: Any) -> CropBatches:
    """Batches of crops for training; the arguments are those of `CropOptions`.

    Reads the footers and object ids of all files first, about 2 s a million crops where they have
    not been read before.

    Raises
    ------
    ConfigurationError
        If an option cannot be used.
    NoSuchTableError
        If the warehouse has no crops.
    """
    return CropBatches(warehouse, crop_options(options))
