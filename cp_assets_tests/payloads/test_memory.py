from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cp_assets.payloads import payload_array
from cp_assets.payloads.memory import PIXEL_MEMORY, SMALLEST, PixelMemory

SIDE = 300
"""Of a plane that is large enough to be kept: 300 x 300 uint16 are 180,000 bytes."""


def _address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _plane(memory: PixelMemory, value: int = 0) -> np.ndarray[Any, Any]:
    plane = memory.empty((SIDE, SIDE), np.uint16)
    plane[...] = value
    return plane


@pytest.fixture
def memory() -> PixelMemory:
    return PixelMemory(idle=4 * 2 * SIDE * SIDE)


@pytest.mark.parametrize("dtype", ["?", "u1", "<u2", ">u2", "f8"])
@pytest.mark.parametrize("shape", [(0,), (3, 5), (2, 300, 200)], ids=str)
def test_empty_is_like_numpys(memory: PixelMemory, shape: tuple[int, ...], dtype: str) -> None:
    array, expected = memory.empty(shape, dtype), np.empty(shape, dtype)
    assert (array.shape, array.dtype) == (expected.shape, expected.dtype)
    assert array.flags.c_contiguous
    array[...] = 1
    assert (array == 1).all()


def test_block_is_used_again_when_its_array_is_gone(memory: PixelMemory) -> None:
    other = _plane(memory)
    plane = _plane(memory)
    first = _address(plane)
    del plane
    assert _address(_plane(memory)) == first
    assert _address(_plane(memory)) == first != _address(other)


@pytest.mark.parametrize("slack", [0.9, 1])
def test_block_is_used_for_arrays_of_nearly_its_size(memory: PixelMemory, slack: float) -> None:
    other = _plane(memory)
    first = _address(_plane(memory))
    assert _address(memory.empty((int(slack * other.nbytes),), np.uint8)) == first
    assert _address(memory.empty((int(0.8 * other.nbytes),), np.uint8)) != first
    assert _address(memory.empty((other.nbytes + 1,), np.uint8)) != first


@pytest.mark.parametrize(
    "hold",
    [
        lambda plane: plane[1:, ::2],
        lambda plane: plane[:9].view(np.uint8).reshape(-1),
        np.ascontiguousarray,
        lambda plane: memoryview(plane[5]),
        pa.py_buffer,
        lambda plane: pa.py_buffer(plane).slice(7, 100),
        lambda plane: pa.Array.from_buffers(pa.uint16(), SIDE, [None, pa.py_buffer(plane)])[3:],
    ],
    ids=["slice", "view", "itself", "memoryview", "buffer", "part-of-buffer", "arrow-array"],
)
def test_block_stays_while_anything_refers_to_it(memory: PixelMemory, hold: Any) -> None:
    held = hold(_plane(memory, value=7))
    before = bytes(held) if not isinstance(held, pa.Array) else held.to_pylist()
    for _ in range(5):
        _plane(memory, value=9)
    assert (bytes(held) if not isinstance(held, pa.Array) else held.to_pylist()) == before


def test_no_more_is_kept_than_allowed(memory: PixelMemory) -> None:
    keep = _plane(memory)
    planes = [_plane(memory) for _ in range(9)]
    assert memory.idle_bytes == 0
    planes.clear()
    assert memory.idle_bytes == 4 * keep.nbytes
    memory.empty((5 * keep.nbytes,), np.uint8)
    assert memory.idle_bytes == 0


def test_nothing_is_kept_when_nothing_is_in_use(memory: PixelMemory) -> None:
    planes = [_plane(memory), _plane(memory)]
    planes.pop()
    assert memory.idle_bytes
    planes.clear()
    assert memory.idle_bytes == 0


def test_small_arrays_are_numpys(memory: PixelMemory) -> None:
    keep = _plane(memory)
    memory.empty((SMALLEST - 1,), np.uint8)
    assert memory.idle_bytes == 0
    memory.empty((SMALLEST,), np.uint8)
    assert memory.idle_bytes == SMALLEST
    assert not keep.any()


def test_threads_never_share_a_block(memory: PixelMemory) -> None:
    def work(value: int) -> bool:
        same = True
        for _ in range(50):
            planes = [_plane(memory, value), _plane(memory, value + 1)]
            same &= bool((planes[0] == value).all() and (planes[1] == value + 1).all())
        return same

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(0, 80, 10)))
    assert memory.idle_bytes == 0


def test_pixels_of_payloads_take_no_more_memory_for_more_batches() -> None:
    keep = PIXEL_MEMORY.empty((SMALLEST,), np.uint8)
    addresses = set()
    for value in range(6):
        planes = [np.full((SIDE, SIDE), value + n, np.uint16) for n in range(3)]
        names = ["a", "b", "c"]
        payloads = payload_array(planes, ids=names, names=names, channels=names)
        pixels = payloads.field("chunks").flatten().field("pixel_bytes")
        addresses.add(pixels.buffers()[2].address)
        assert [bytes(one.as_py()) for one in pixels] == [plane.tobytes() for plane in planes]
        del payloads, pixels
    assert len(addresses) == 1
    assert keep.nbytes == SMALLEST
