"""Any history of uploads, restarts and crashes: each settled state is requested exactly once."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cp_assets.datasets import PlateKey
from cp_assets.datasets.sensor_options import SensorOptions
from cp_assets_tests.watching.house import START, House, plate

_QUIET = 100
_PLATES = st.integers(0, 1).map(plate)


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        options = SensorOptions(quiet_seconds=_QUIET, plates_per_tick=2, runs_per_tick=1)
        self.house = House(options=options)
        self.changed: dict[PlateKey, float] = {}
        self.cursors = [""]
        self.checked = 0

    def put(self, key: PlateKey, name: str, size: int, changed: float) -> None:
        files = self.house.files
        before = files.plates.get(key, {}).get(name)
        files.upload(key, name, size, changed)
        if before != files.plates[key][name]:
            self.changed[key] = self.house.now

    @rule(key=_PLATES, name=st.sampled_from(["a", "bb"]))
    def upload(self, key: PlateKey, name: str) -> None:
        self.put(key, name, 1, self.house.now)

    @rule(key=_PLATES, size=st.integers(1, 2), changed=st.sampled_from([-1000, 1_000_000]))
    def copy_with_another_clocks_time(self, key: PlateKey, size: int, changed: int) -> None:
        self.put(key, "a", size, START + changed)

    @rule(key=_PLATES)
    def remove(self, key: PlateKey) -> None:
        if self.house.files.plates.pop(key, None) is not None:
            self.changed[key] = self.house.now

    @rule(seconds=st.sampled_from([1, 40, _QUIET]))
    def wait(self, seconds: int) -> None:
        self.house.now += seconds

    @rule(dies=st.sampled_from(["", "", "", "evaluating", "reserving"]))
    def tick(self, dies: str) -> None:
        self.house.tick(dies=dies)
        self.cursors.append(self.house.cursor)

    @rule(data=st.data())
    def tick_with_a_cursor_of_before(self, data: st.DataObject) -> None:
        self.house.cursor = data.draw(st.sampled_from(self.cursors))
        self.house.tick()

    @rule()
    def runs_end(self) -> None:
        self.house.finish_runs()

    @rule(ticks=st.integers(1, 4))
    def settle(self, ticks: int) -> None:
        self.house.settle(ticks)

    @invariant()
    def nothing_that_uploads_is_requested(self) -> None:
        for run in self.house.runs[self.checked :]:
            assert run.at - self.changed[run.key] >= _QUIET
        self.checked = len(self.house.runs)

    @invariant()
    def nothing_is_requested_twice_and_no_plate_has_two_runs_at_a_time(self) -> None:
        for key in (plate(0), plate(1)):
            runs = self.house.runs_of(key)
            for one, other in pairwise(runs):
                assert one.content != other.content
                assert one.ended_at <= other.at

    def teardown(self) -> None:
        house = self.house
        house.settle(12)
        for key in house.files.plates:
            assert house.runs_of(key)[-1].content == house.files.content(key)
            assert not house.seen[key].is_gone
        assert house.partitions >= set(house.files.plates)
        for key in house.partitions - set(house.files.plates):
            assert key not in house.seen or house.seen[key].is_gone
        assert not house.tick().cursor.pending


Histories.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, derandomize=True, database=None
)
TestHistories = Histories.TestCase
