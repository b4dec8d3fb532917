"""Passing faults of a store: asked again with back-off."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, TypeVar

from cp_assets.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 20.0

_log = logging.getLogger(__name__)


def with_retries(action: Callable[[], Result], attempts: int) -> Result:
    """What an action gives, which is done again while it raises `StoreUnavailableError`.

    The waits double, and vary at random, so that many readers do not come back all at once. This
    is done here for every store: a body that breaks off is no fault to the clients' own retries,
    and botocore's stop for the whole process when many threads are throttled together.

    Raises
    ------
    StoreUnavailableError
        That of the last attempt.
    """
    attempt = 1
    while True:
        try:
            return action()
        except StoreUnavailableError as error:
            if attempt >= attempts:
                msg = f"{error}; {attempt} attempts failed: try again later"
                raise StoreUnavailableError(msg) from error
            wait = _wait(attempt)
            _log.info("%s; attempt %d of %d, next in %.1f s", error, attempt, attempts, wait)
            time.sleep(wait)
            attempt += 1


def _wait(attempt: int) -> float:
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (attempt - 1))
    return random.uniform(longest / 2, longest)  # noqa: S311 - no secret is made of it
