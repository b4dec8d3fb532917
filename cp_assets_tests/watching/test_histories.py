"""Any history of uploads, restarts and crashes: each settled state is requested exactly once."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cp_assets.datasets.sensor_options import SensorOptions
from cp_assets_tests.watching.house import House, plate

_QUIET = 100
_PLATES = st.integers(0, 3).map(plate)


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        options = SensorOptions(quiet_seconds=_QUIET, plates_per_tick=3, runs_per_tick=1)
        self.house = House(options=options)
        self.changed = {}
        self.cursors = [""]
        self.checked = 0

    @rule(key=_PLATES, name=st.sampled_from(["a", "bb", "ccc"]), size=st.integers(1, 3))
    def upload(self, key, name, size) -> None:
        self.house.files.upload(key, name, size, self.house.now)
        self.changed[key] = self.house.now

    @rule(key=_PLATES, size=st.integers(1, 3), age=st.integers(-200, 5000))
    def upload_with_the_time_of_another_clock(self, key, size, age) -> None:
        before = self.house.files.plates.get(key, {}).get("a")
        self.house.files.upload(key, "a", size, self.house.now - age)
        if before != self.house.files.plates[key]["a"]:
            self.changed[key] = self.house.now

    @rule(key=_PLATES)
    def remove(self, key) -> None:
        if self.house.files.plates.pop(key, None) is not None:
            self.changed[key] = self.house.now

    @rule(seconds=st.sampled_from([1, 40, _QUIET, 5 * _QUIET]))
    def wait(self, seconds) -> None:
        self.house.now += seconds

    @rule(dies=st.sampled_from(["", "", "", "evaluating", "reserving"]))
    def tick(self, dies) -> None:
        self.house.tick(dies=dies)
        self.cursors.append(self.house.cursor)

    @rule(data=st.data())
    def tick_with_a_cursor_of_before(self, data) -> None:
        self.house.cursor = data.draw(st.sampled_from(self.cursors))
        self.house.tick()

    @rule()
    def runs_end(self) -> None:
        self.house.finish_runs()

    @invariant()
    def nothing_that_uploads_is_requested(self) -> None:
        for run in self.house.runs[self.checked :]:
            assert run.at - self.changed[run.key] >= _QUIET
        self.checked = len(self.house.runs)

    @invariant()
    def nothing_is_requested_twice(self) -> None:
        for key in self.house.files.plates:
            contents = [run.content for run in self.house.runs_of(key)]
            assert all(one != other for one, other in zip(contents, contents[1:], strict=False))

    def teardown(self) -> None:
        # A change at another clock's time may lie in the future.
        self.house.settle()
        for key in self.house.files.plates:
            assert self.house.runs_of(key)[-1].content == self.house.files.content(key)
            assert not self.house.seen[key].is_gone
        self.nothing_is_requested_twice()
        assert self.house.partitions >= set(self.house.files.plates)
        for key in self.house.partitions - set(self.house.files.plates):
            assert key not in self.house.seen or self.house.seen[key].is_gone


Histories.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, derandomize=True
)
TestHistories = Histories.TestCase
