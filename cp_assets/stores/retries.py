"""Passing faults of a store: asked again with back-off."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from tenacity import stop_after_attempt

from cp_assets.errors import StoreUnavailableError
from cp_assets.retries import retrying

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

Result = TypeVar("Result")

FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 20.0

_log = logging.getLogger(__name__)


def with_retries(action: Callable[[], Result], attempts: int) -> Result:
    """What an action gives, which is done again while it raises `StoreUnavailableError`.

    This is done here for every store: a body that breaks off is no fault to the clients' own
    retries, and botocore's stop for the whole process when many threads are throttled together.

    Raises
    ------
    StoreUnavailableError
        That of the last attempt.
    """

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        number, wait = state.attempt_number, state.upcoming_sleep
        _log.info("%s; attempt %d of %d, next in %.1f s", error, number, attempts, wait)

    patient = retrying(
        lambda error: isinstance(error, StoreUnavailableError),
        stop_after_attempt(attempts),
        first_wait=FIRST_WAIT_SECONDS,
        longest_wait=LONGEST_WAIT_SECONDS,
        before_sleep=tell,
    )
    try:
        return patient(action)
    except StoreUnavailableError as error:
        msg = f"{error}; {attempts} attempts failed: try again later"
        raise StoreUnavailableError(msg) from error
