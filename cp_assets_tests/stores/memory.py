"""A store whose objects lie in memory, with reads that are counted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

from cp_assets.errors import StoreError
from cp_assets.stores import ObjectPath
from cp_assets.stores.model import Listed, ObjectState, ObjectStore

BUCKET = "s3://memory"


class MemoryStore(ObjectStore):
    """Objects in memory.

    Attributes
    ----------
    seconds
        How long a read takes.
    reads
        How often each key was read.
    most_at_once
        Most reads at a time.
    """

    url = BUCKET

    def __init__(self, objects: dict[str, bytes], seconds: float = 0.0) -> None:
        self.objects = objects
        self.seconds = seconds
        self.reads: Counter[str] = Counter()
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def list(self, prefix: str, *, delimited: bool) -> Iterator[Listed]:
        folders = set()
        for key in sorted(key for key in self.objects if key.startswith(prefix)):
            name, slash, _ = key[len(prefix) :].partition("/")
            if not (delimited and slash):
                yield Listed(key, self.head(key))
            elif name not in folders:
                folders.add(name)
                yield Listed(prefix + name, None)

    def head(self, key: str) -> ObjectState | None:
        data = self.objects.get(key)
        return None if data is None else ObjectState(len(data), str(hash(data)), 0)

    def read(
        self, key: str, start: int = 0, stop: int | None = None, *, etag: str | None = None
    ) -> tuple[bytes, ObjectState]:
        with self._lock:
            self.reads[key] += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        time.sleep(self.seconds)
        with self._lock:
            self._at_once -= 1
        state = self.head(key)
        if state is None:
            raise FileNotFoundError(key)
        if not state.size:
            msg = "refused"
            raise StoreError(msg)
        return self.objects[key][start:stop], state

    def write(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    def files(self) -> list[ObjectPath]:
        """All objects, as a listing gives them."""
        return list(ObjectPath(BUCKET).files_below())
