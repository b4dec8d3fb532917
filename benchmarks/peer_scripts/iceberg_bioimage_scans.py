"""iceberg-bioimage's scan of image files, and its rows of chunks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow as pa
from iceberg_bioimage.api import scan_store
from iceberg_bioimage.publishing.chunk_index import scan_result_to_chunk_rows
from serving import serve


def headers(folder: str) -> dict[str, Any]:
    """Scan every TIFF of a folder; wall time in seconds, and how many images there were."""
    start = time.perf_counter()
    found = [scan_store(str(file)) for file in sorted(Path(folder).iterdir())]
    images = sum(len(one.image_assets) for one in found)
    return {"seconds": time.perf_counter() - start, "images": images}


def chunks(store: str) -> dict[str, Any]:
    """Scan a Zarr and make its rows of chunks; wall time in seconds, and how many rows."""
    start = time.perf_counter()
    rows = pa.Table.from_pylist(scan_result_to_chunk_rows(scan_store(store)))
    return {"seconds": time.perf_counter() - start, "rows": rows.num_rows}


if __name__ == "__main__":
    serve({"headers": headers, "chunks": chunks})
