"""Waiting between attempts, so that many writers keep out of each other's step."""

from __future__ import annotations

import random
import time

_FIRST_WAIT, _LONGEST_WAIT = 0.02, 2.0


class Patience:
    """Waits that double, vary at random, and end after some seconds in all.

    Parameters
    ----------
    seconds
        From now on, after which there is no further attempt.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._wait = _FIRST_WAIT

    def wait(self) -> bool:
        """Wait until the next attempt; False, at once, where there is no time for one."""
        if time.monotonic() > self._end:
            return False
        time.sleep(self._wait * random.uniform(0.5, 1.0))  # noqa: S311 - keeps writers out of step
        self._wait = min(2 * self._wait, _LONGEST_WAIT)
        return True
