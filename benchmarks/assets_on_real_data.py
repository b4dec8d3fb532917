"""Wall time and peak memory of each asset, each in a process of its own.

    python benchmarks/assets_on_real_data.py SOURCE [IMAGE_DIR]

Prints one line a table: seconds of the build, seconds of the process, peak resident memory. A
process that only imports the library is measured too: it is the floor of both.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cp_assets.building import STEPS, build_table
from cp_assets.datasets import Dataset, detect_layout, find_plates
from cp_assets.warehouse.warehouse import open_warehouse


def dataset(source: str, images: str | None) -> Dataset:
    """The dataset of a folder."""
    root = Path(source)
    return Dataset(
        dataset_id=root.resolve().name,
        root=root,
        layout=detect_layout(root),
        image_dir=Path(images) if images else None,
    )


def build(
    name: str, warehouse: str, source: str, images: str | None
) -> dict[str, float | int | str]:
    """Build one table of every plate, and say what it took."""
    start = time.perf_counter()
    rows, state = 0, "imports only"
    for sources in find_plates(dataset(source, images)).values() if name in STEPS else ():
        opened = open_warehouse(warehouse, create=True)
        done = build_table(opened, STEPS[name](sources, opened))
        rows, state = rows + done.rows, done.state
    return {
        "table": name,
        "state": state,
        "rows": rows,
        "seconds": round(time.perf_counter() - start, 2),
        "peak_mib": peak_mib(),
    }


def peak_mib() -> int:
    """Most resident memory of this process so far, in MiB.

    Not ``ru_maxrss`` where /proc is there: that counts the process that started this one too.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    marks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return (marks or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss])[0] // 1024


def main(arguments: list[str]) -> None:
    """Measure all tables in order."""
    if arguments[0] == "--one":
        name, warehouse, source, images = arguments[1:]
        print(json.dumps(build(name, warehouse, source, images or None)))
        return
    source, images = arguments[0], arguments[1] if len(arguments) > 1 else ""
    print(f"{'table':<24}{'state':<14}{'rows':>8}{'build s':>9}{'process s':>11}{'peak MiB':>10}")
    with tempfile.TemporaryDirectory() as warehouse:
        for name in ("nothing", *STEPS):
            start = time.perf_counter()
            command = [sys.executable, __file__, "--one", name, warehouse, source, images]
            done = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            print(
                f"{name:<24}{done['state']:<14}{done['rows']:>8}{done['seconds']:>9.2f}"
                f"{time.perf_counter() - start:>11.2f}{done['peak_mib']:>10}"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
