"""One side of ``scanning`` in a process of its own: ``scan_one.py ours|peer tiff|chunks PATH``.

Prints the seconds that the work took, what it counted, and the most memory that it added to what
the imports take, as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path


def ours_tiff(path: str) -> Callable[[], int]:
    """Scan a folder."""
    from cp_assets.scanning import scan_all

    return lambda: sum(len(result.image_assets) for result in scan_all(path))


def peer_tiff(path: str) -> Callable[[], int]:
    """Scan each file of a folder: iceberg-bioimage has no scan of a folder."""
    from iceberg_bioimage.api import scan_store

    files = sorted(map(str, Path(path).iterdir()))
    return lambda: sum(len(scan_store(file).image_assets) for file in files)


def ours_chunks(path: str) -> Callable[[], int]:
    """Rows of all chunks of a store."""
    from cp_assets.datasets import PlateKey
    from cp_assets.scanning import chunk_index_batches, own_keys, scan

    plate = PlateKey("d", "b", "p")
    assets = [(asset, own_keys(asset)) for asset in scan(path).image_assets]
    return lambda: sum(batch.num_rows for batch in chunk_index_batches(plate, assets))


def peer_chunks(path: str) -> Callable[[], int]:
    """The same, as it publishes them: one Arrow table."""
    import pyarrow as pa
    from iceberg_bioimage.api import scan_store
    from iceberg_bioimage.publishing.chunk_index import scan_result_to_chunk_rows

    result = scan_store(path)
    return lambda: pa.Table.from_pylist(scan_result_to_chunk_rows(result)).num_rows


SIDES = {made.__name__: made for made in (ours_tiff, peer_tiff, ours_chunks, peer_chunks)}


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    side, what, place = sys.argv[1:]
    work = SIDES[f"{side}_{what}"](place)
    before, start = _peak_mib(), time.perf_counter()
    counted = work()
    took = time.perf_counter() - start
    print(json.dumps({"seconds": took, "count": counted, "added_mib": _peak_mib() - before}))
