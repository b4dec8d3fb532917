"""One client a bucket and options, shared by all threads of a process."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cp_assets.stores.model import ObjectStore
    from cp_assets.stores.options import StoreOptions

SCHEMES = ("s3", "gs", "az")

_MOST_BUCKETS = 64


@lru_cache(maxsize=_MOST_BUCKETS)
def connect(bucket: str, options: StoreOptions) -> ObjectStore:
    """The store of a bucket's URL."""
    # Imported here: most warehouses are made of local files, and the clients take long to import.
    if bucket.startswith("s3://"):
        from cp_assets.stores.s3 import S3Store  # noqa: PLC0415

        return S3Store(bucket, options)
    from cp_assets.stores.gs_az import GsAzStore  # noqa: PLC0415

    return GsAzStore(bucket, options)


# A process that was forked must not talk over the sockets of its parent.
os.register_at_fork(after_in_child=connect.cache_clear)
