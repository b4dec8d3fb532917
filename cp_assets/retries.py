"""Faults that pass by themselves: the same is done again, after waits that grow."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_exception, wait_exponential, wait_random_exponential
from tenacity.nap import sleep as nap

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState


class Deadline:
    """When to stop: after some seconds from now on. Several calls may share one.

    Parameters
    ----------
    clock
        Seconds, from any start.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def __call__(self, _: RetryCallState) -> bool:
        """Whether it is over."""
        return self._clock() > self._end


def retrying(
    passes: Callable[[BaseException], bool],
    stop: Callable[[RetryCallState], bool],
    *,
    first_wait: float,
    longest_wait: float,
    before_sleep: Callable[[RetryCallState], None] | None = None,
    sleep: Callable[[float], None] = nap,
) -> Retrying:
    """What calls a function, again while it raises what passes, and raises its last error.

    Parameters
    ----------
    passes
        Whether an error passes; every other is raised at once.
    stop
        Asked after each error that passes: a `Deadline`, or ``tenacity.stop_after_attempt``.
    first_wait, longest_wait
        In seconds. The waits double, and are cut by up to a half at random, so that those who were
        refused together do not come back together.
    before_sleep
        Told of each error that is waited for.
    """
    half, most = first_wait / 2, longest_wait / 2
    return Retrying(
        retry=retry_if_exception(passes),
        stop=stop,
        wait=wait_exponential(half, most) + wait_random_exponential(half, most),
        before_sleep=before_sleep,
        sleep=sleep,
        reraise=True,
    )
