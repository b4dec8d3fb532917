"""How a warehouse is maintained: what is kept, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cp_assets.errors import ConfigurationError


@dataclass(frozen=True)
class MaintenanceOptions:
    """What maintenance keeps.

    Attributes
    ----------
    older_than
        Snapshots that were superseded longer ago are expired: who began to read one may go on for
        that long.
    keep_snapshots
        So many of the newest snapshots of a table are kept however old they are.
    grace
        Files that no snapshot names are removed when they have not changed for so long. Longer than
        any write of a plate takes: what a running write has made is named by no snapshot yet.
    """

    older_than: timedelta = timedelta(days=7)
    keep_snapshots: int = 5
    grace: timedelta = timedelta(days=3)

    def __post_init__(self) -> None:
        if self.keep_snapshots < 1:
            msg = f"keep_snapshots is {self.keep_snapshots}: at least the current one is kept"
            raise ConfigurationError(msg)
        for name in ("older_than", "grace"):
            if getattr(self, name) < timedelta():
                msg = f"{name} is negative; expected a span such as 7d, or 0"
                raise ConfigurationError(msg)
