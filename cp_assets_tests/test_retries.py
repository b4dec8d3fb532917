"""What passes is done again, with waits that double and vary, until it is time to stop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tenacity import stop_after_attempt

from cp_assets.retries import Deadline, retrying


class Flaky:
    """Raises each error once, then gives the number of calls."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.calls


def _passes(error: BaseException) -> bool:
    return isinstance(error, ConnectionError)


@given(
    first=st.floats(0.001, 10),
    longest=st.floats(0.001, 100),
    faults=st.integers(0, 12),
)
def test_waits_double_are_cut_by_up_to_a_half_and_end_at_the_longest(
    first: float, longest: float, faults: int
) -> None:
    waited: list[float] = []
    flaky = Flaky(*[ConnectionError()] * faults)
    patient = retrying(
        _passes,
        stop_after_attempt(faults + 1),
        first_wait=first,
        longest_wait=longest,
        sleep=waited.append,
    )
    assert patient(flaky) == faults + 1
    assert len(waited) == faults
    for number, wait in enumerate(waited):
        most = min(longest, first * 2**number)
        assert most / 2 * 0.999 <= wait <= most * 1.001


def test_last_error_is_raised_as_it_was() -> None:
    errors = [ConnectionError("1"), ConnectionError("2"), ConnectionError("3")]
    told: list[int] = []
    patient = retrying(
        _passes,
        stop_after_attempt(2),
        first_wait=1,
        longest_wait=1,
        before_sleep=lambda state: told.append(state.attempt_number),
        sleep=lambda _: None,
    )
    with pytest.raises(ConnectionError, match="2") as caught:
        patient(Flaky(*errors))
    assert caught.value is errors[1]
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert told == [1]


@pytest.mark.parametrize("error", [ValueError("final"), KeyboardInterrupt()])
def test_what_does_not_pass_is_raised_at_once(error: BaseException) -> None:
    flaky = Flaky(ConnectionError(), error)
    patient = retrying(
        _passes, stop_after_attempt(9), first_wait=1, longest_wait=1, sleep=lambda _: None
    )
    with pytest.raises(type(error)):
        patient(flaky)
    assert flaky.calls == 2


def test_deadline_is_shared_by_all_calls() -> None:
    now = [100.0]
    deadline = Deadline(10, clock=lambda: now[0])

    def sleep(seconds: float) -> None:
        now[0] += seconds

    patient = retrying(_passes, deadline, first_wait=4, longest_wait=4, sleep=sleep)
    assert patient(Flaky(ConnectionError())) == 2
    assert now[0] <= 104
    flaky = Flaky(*[ConnectionError()] * 9)
    with pytest.raises(ConnectionError):
        patient(flaky)
    assert now[0] > 110
    late = Flaky(ConnectionError())
    with pytest.raises(ConnectionError):
        patient(late)
    assert late.calls == 1
