"""Memory of pixels, used again: what a plate's images and crops take does not grow with the plate.

Planes are decoded in one thread and crops written by another. Given back to the allocator each
time, such blocks stay behind with whichever thread took them, and more of them from site to site.
"""

from __future__ import annotations

from collections import deque
from math import prod
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cp_assets.payloads.types import Pixels

IDLE_BYTES = 32 * 2**20
"""Most that is kept for the next image: the planes of an image set and some batches of crops."""

SMALLEST = 64 * 2**10
"""Bytes below which an array is left to numpy: allocators keep no small block for long."""

_SLACK = 8
"""A block is used for arrays that are smaller than it by at most this part of them."""

_Block = npt.NDArray[np.uint8]


class PixelMemory:
    """Arrays in blocks that are used again once nothing refers to them; for any thread.

    An array is in use as long as it, a view of it or an Arrow buffer over it is. While any is, up
    to ``idle`` bytes of unused blocks are kept; with the last array all of them go.

    Parameters
    ----------
    idle
        Most bytes of unused blocks.
    """

    def __init__(self, idle: int = IDLE_BYTES) -> None:
        self._limit = idle
        self._lock = Lock()
        self._in_use = 0
        self._returned: deque[_Block] = deque()
        self._idle: list[_Block] = []
        """In the order in which they came back."""

    @property
    def idle_bytes(self) -> int:
        """Bytes of the blocks that are kept unused."""
        return sum(block.size for block in self._idle)

    def empty(self, shape: Sequence[int], dtype: npt.DTypeLike) -> Pixels:
        """Like `numpy.empty`: an array in C order with whatever lay in its memory before."""
        nbytes = prod(shape) * np.dtype(dtype).itemsize
        if nbytes < SMALLEST:
            return np.empty(shape, dtype)
        lease = _Lease(self, self._take(nbytes), nbytes)
        return np.asarray(lease).view(dtype).reshape(shape)

    def give_back(self, block: _Block) -> None:
        """Take a block that nothing refers to.

        Never waits: the last reference may go anywhere, also within a call of this object.
        """
        self._returned.append(block)
        self._settle()

    def _take(self, nbytes: int) -> _Block:
        """Give the smallest idle block that fits, or a new one."""
        with self._lock:
            fits = [
                (block.size, number)
                for number, block in enumerate(self._idle)
                if nbytes <= block.size <= nbytes + nbytes // _SLACK
            ]
            block = self._idle.pop(min(fits)[1]) if fits else np.empty(nbytes, np.uint8)
            self._in_use += 1
        self._settle()
        return block

    def _settle(self) -> None:
        """Keep the blocks that came back, unless another call is about to."""
        while self._returned and self._lock.acquire(blocking=False):
            try:
                self._keep_returned()
            finally:
                self._lock.release()

    def _keep_returned(self) -> None:
        while self._returned:
            self._idle.append(self._returned.popleft())
            self._in_use -= 1
        limit = self._limit if self._in_use else 0
        while self.idle_bytes > limit:
            del self._idle[0]


class _Lease:
    """What an array in a block refers to: numpy and Arrow hold it as long as they need the bytes.

    Not an array itself: numpy would let views of it refer to the block, past it.
    """

    def __init__(self, memory: PixelMemory, block: _Block, nbytes: int) -> None:
        self._memory = memory
        self._block = block
        self.__array_interface__: dict[str, Any] = block[:nbytes].__array_interface__

    def __del__(self) -> None:
        self._memory.give_back(self._block)


PIXEL_MEMORY = PixelMemory()
"""Of this process, as its allocator is."""
