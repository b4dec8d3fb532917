"""Each goal's measurement, against its peer and its floor, in one run: `python -m benchmarks`."""

from __future__ import annotations
