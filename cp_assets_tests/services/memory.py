"""What a process took of memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_bytes() -> int:
    """Most resident memory of this process so far.

    Not ``ru_maxrss`` where /proc is there: that counts the process that started this one too.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    marks = [1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    unit = 1 if sys.platform == "darwin" else 1024
    return (marks or [unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss])[0]
