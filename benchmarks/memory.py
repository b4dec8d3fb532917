"""Memory of ``image_crops``: the same for any number of sites."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from benchmarks.context import Context, progress
from benchmarks.data import PlateShape, write_plate
from benchmarks.results import Goal, Measurement, Row, Samples

SCRIPT = Path(__file__).with_name("assets_on_real_data.py")
SECONDS_BETWEEN = 0.05


def measure(context: Context) -> Measurement:
    """Peak of 25 and of 200 sites at the default settings; growth over 2,000 small sites."""
    few, many, long = (5, 20, 100) if context.quick else (25, 200, 2000)
    wide = PlateShape(sites=few, cells=100, distinct=min(few, 10))
    small = _built(context.folder / "few", wide)
    large = _built(context.folder / "many", replace(wide, sites=many))
    shape = PlateShape(
        sites=long, edge=256, cells=20, box=(20, 50), channels=("DNA", "ER"), distinct=10
    )
    grown = _built(context.folder / "long", shape)
    quarters = [statistics.median(part) for part in _quarters(grown.resident)]
    rows = (
        Row(
            what=f"peak memory of `image_crops`, {many} against {few} sites",
            ours=Samples((large.peak,), "MiB"),
            floor=Samples((_imports_only(context.folder),), "MiB"),
            figure=large.peak / small.peak,
            figure_is=f"{many} sites / {few} sites",
            goal=Goal(1.1),
        ),
        Row(
            what=f"peak memory of `image_crops`, {many} sites",
            ours=Samples((large.peak,), "MiB"),
            figure=large.peak,
            figure_is="peak",
            unit="MiB",
            goal=Goal(1024, unit="MiB"),
        ),
        Row(
            what=f"resident memory while `image_crops` goes through {long:,} sites",
            ours=Samples(tuple(grown.resident), "MiB"),
            figure=quarters[3] / quarters[1],
            figure_is="median of the last quarter of the samples / of the second",
            goal=Goal(1.05),
        ),
    )
    notes = (
        f"Sites of 1080 x 1080 uint16 in 5 channels, 100 cells each, {wide.distinct} sites' "
        f"files under all names (hard links). Peak of {few} sites: {small.peak:.0f} MiB.",
        f"The {long:,} sites are 256 x 256 in 2 channels with 20 cells; "
        f"{len(grown.resident)} samples, whose medians by quarter are "
        f"{', '.join(f'{median:.0f}' for median in quarters)} MiB.",
        "Each build is a process of its own that builds this table alone, at the default settings. "
        "The floor is a process that only imports the library.",
        "'No growth' is held as at most 5 % between the second and the last quarter.",
    )
    return Measurement("memory", rows, notes)


@dataclass(frozen=True)
class Build:
    """A build of ``image_crops`` as it was seen from outside.

    Attributes
    ----------
    peak
        Most resident memory, in MiB.
    resident
        Resident memory at equal distances in time, in MiB.
    """

    peak: float
    resident: list[float]


def _built(folder: Path, shape: PlateShape) -> Build:
    write_plate(folder, shape)
    for name in ("raw_measurements", "joined_profiles"):
        subprocess.run(_command(folder, name), check=True, stdout=subprocess.DEVNULL)
    resident: list[float] = []
    with subprocess.Popen(_command(folder, "image_crops"), stdout=subprocess.PIPE) as process:
        while process.poll() is None:
            resident.append(_resident_mib(process.pid))
            time.sleep(SECONDS_BETWEEN)
        assert process.stdout is not None  # noqa: S101 - asked for above; for the type checker
        done = json.loads(process.stdout.read())
    expected = shape.sites * shape.cells * len(shape.channels)
    if done["rows"] != expected:
        msg = f"{done['rows']} crops were written, {expected} expected: the measurement is wrong"
        raise AssertionError(msg)
    progress(f"{shape.sites} sites: {done['seconds']} s, peak {done['peak_mib']} MiB")
    return Build(done["peak_mib"], [sample for sample in resident if sample])


def _quarters(samples: list[float]) -> list[list[float]]:
    ends = [len(samples) * part // 4 for part in range(5)]
    return [samples[start:end] for start, end in pairwise(ends)]


def _imports_only(folder: Path) -> float:
    done = subprocess.run(_command(folder, "nothing"), check=True, capture_output=True)
    return float(json.loads(done.stdout)["peak_mib"])


def _command(folder: Path, name: str) -> list[str]:
    return build_command(name, folder / "wh", folder / "csv", folder / "images")


def build_command(
    name: str, warehouse: Path, source: Path, images: Path | None = None
) -> list[str]:
    """What builds one table in a process of its own and prints what it took, as JSON."""
    given = [str(warehouse), str(source), "" if images is None else str(images)]
    return [sys.executable, str(SCRIPT), "--one", name, *given]


def _resident_mib(process: int) -> float:
    """Resident memory now, in MiB; 0 if the process has just ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    lines = [line.split() for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(lines[0][1]) / 1024 if lines else 0.0
