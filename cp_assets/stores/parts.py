"""Objects in parts that are read side by side: one connection alone is slow."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cp_assets.stores.model import ObjectState, ObjectStore

PART_BYTES = 8 * 2**20
_WORKERS = 8


def read_whole(store: ObjectStore, key: str, held: ObjectState | None) -> bytes:
    """An object's bytes, all of one version.

    Parameters
    ----------
    held
        The state that must be read; None for the one that is there.
    """
    if held is None:
        begun, held = store.read(key, 0, PART_BYTES)
        return read_range(store, key, held, 0, held.size, begun=begun)
    return read_range(store, key, held, 0, held.size)


def read_range(
    store: ObjectStore,
    key: str,
    held: ObjectState,
    start: int,
    stop: int,
    *,
    begun: bytes = b"",
) -> bytes:
    """Bytes ``start`` to ``stop``, not beyond the end, of one version of an object.

    Parameters
    ----------
    begun
        The first of them, if some were read already.
    """
    if len(begun) == stop - start:
        return begun
    if stop - start <= PART_BYTES:
        return begun + store.read(key, start + len(begun), stop, etag=held.etag)[0]
    # What BytesIO was made of and never shared it hands out again without a copy.
    whole = io.BytesIO(bytes(stop - start))
    with whole.getbuffer() as view:
        view[: len(begun)] = begun

        def keep(offset: int, part: bytes) -> None:
            view[offset - start : offset - start + len(part)] = part

        _each_part(store, key, held, (start + len(begun), stop), keep)
    return whole.getvalue()


def copy_whole(store: ObjectStore, key: str, held: ObjectState | None, path: Path) -> None:
    """Copy one version of an object to a local file; a few parts at a time are in memory."""
    held = held or store.read(key, 0, 0)[1]
    with path.open("wb") as file:
        descriptor = file.fileno()
        os.truncate(descriptor, held.size)

        def keep(offset: int, part: bytes) -> None:
            view = memoryview(part)
            while view:
                written = os.pwrite(descriptor, view, offset)
                offset, view = offset + written, view[written:]

        _each_part(store, key, held, (0, held.size), keep)


def _each_part(
    store: ObjectStore,
    key: str,
    held: ObjectState,
    span: tuple[int, int],
    keep: Callable[[int, bytes], None],
) -> None:
    """Hand the parts of a span to ``keep``, in any order and from several threads."""

    def fetch(start: int) -> None:
        stop = min(start + PART_BYTES, span[1])
        part, _ = store.read(key, start, stop, etag=held.etag)
        keep(start, part)

    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="cp-assets-part") as pool:
        try:
            for _ in pool.map(fetch, range(*span, PART_BYTES)):
                pass
        finally:
            # After an error the parts that wait are not wanted.
            pool.shutdown(wait=False, cancel_futures=True)
