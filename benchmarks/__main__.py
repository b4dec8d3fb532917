"""The command: run measurements and write ``RESULTS.md``."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    commits,
    crops_example_human,
    crops_jump,
    memory,
    one_cell,
    profiles,
    profiles_memory,
    scans,
    training,
)
from benchmarks.context import Context
from benchmarks.results import Measurement, machine, markdown

MEASUREMENTS: dict[str, Callable[[Context], Measurement]] = {
    "crops_example_human": crops_example_human.measure,
    "crops_jump": crops_jump.measure,
    "memory": memory.measure,
    "one_cell": one_cell.measure,
    "commits": commits.measure,
    "training": training.measure,
    "profiles": profiles.measure,
    "profiles_memory": profiles_memory.measure,
    "scans": scans.measure,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the measurements asked for; 1 if one could not be made."""
    options = _parser().parse_args(arguments)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    options.cache.mkdir(parents=True, exist_ok=True)
    facts = machine()
    if options.quick:
        facts.append("**quick run: small data, few repeats; not the figures to quote**")
    with tempfile.TemporaryDirectory(dir=options.scratch, prefix="cp_assets-bench-") as scratch:
        done, failures = _run(options, Path(scratch).resolve())
    text = markdown(facts, done, failures)
    print(text)
    complete = not (options.quick or options.measurements)
    out = options.results or (Path(__file__).with_name("RESULTS.md") if complete else None)
    if out is not None:
        out.write_text(text)
    return 1 if failures else 0


def _run(options: argparse.Namespace, scratch: Path) -> tuple[list[Measurement], dict[str, str]]:
    """Run one measurement after the other; what was found, and why the others were not."""
    done: list[Measurement] = []
    failures: dict[str, str] = {}
    shared = scratch / "shared"
    shared.mkdir()
    for name in options.measurements or MEASUREMENTS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        start = time.perf_counter()
        folder = scratch / name
        folder.mkdir()
        try:
            context = Context(folder, shared, options.cache.resolve(), options.quick)
            done.append(MEASUREMENTS[name](context))
        except Exception as error:  # noqa: BLE001 - one failure leaves the others' figures
            traceback.print_exc()
            # Its text may hold paths of this machine; it is on standard error.
            failures[name] = type(error).__name__
        shutil.rmtree(folder)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    return done, failures


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "measurements",
        nargs="*",
        metavar="MEASUREMENT",
        choices=[*MEASUREMENTS, []],
        help=f"any of {', '.join(MEASUREMENTS)}; all by default",
    )
    parser.add_argument(
        "--quick", action="store_true", help="small data, few repeats: does it run at all?"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir(), "cp_assets-benchmarks"),
        help="where the peers' environments are kept (about 2 GB)",
    )
    parser.add_argument(
        "--scratch", type=Path, help="folder on the disk to measure on; needs about 20 GB"
    )
    parser.add_argument(
        "--results", type=Path, help="file to write; a full run writes RESULTS.md here by default"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
