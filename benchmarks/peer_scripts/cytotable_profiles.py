"""CytoTable's conversion of measurements: from CellProfiler's files to joined rows in Parquet."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import cytotable
import pyarrow.parquet as pq
from duckdb_extensions import import_extension
from parsl.config import Config
from parsl.executors import ThreadPoolExecutor
from serving import serve


def profiles(source: str, out: str, threads: int, preset: str) -> dict[str, Any]:
    """Convert and join; wall time in seconds, without imports, and the shape of what came out.

    CytoTable keeps the thread count of the first time it is asked.
    """
    shutil.rmtree(out, ignore_errors=True)
    Path(out).unlink(missing_ok=True)
    config = Config(executors=[ThreadPoolExecutor(max_threads=threads)], run_dir=f"{out}-parsl")
    start = time.perf_counter()
    written = cytotable.convert(
        source_path=source,
        dest_path=out,
        dest_datatype="parquet",
        source_datatype=preset.rpartition("_")[2],
        preset=preset,
        parsl_config=config,
    )
    seconds = time.perf_counter() - start
    table = pq.read_metadata(written)
    return {"seconds": seconds, "rows": table.num_rows, "columns": table.num_columns}


if __name__ == "__main__":
    # CytoTable has DuckDB fetch these; here they come with the environment.
    for extension in ("sqlite_scanner", "httpfs"):
        import_extension(extension)
    serve({"profiles": profiles})
