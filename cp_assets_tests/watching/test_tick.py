"""What a tick does with plates in each state, and within its limits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cp_assets.datasets.sensor_options import SensorOptions
from cp_assets.errors import ConfigurationError
from cp_assets.watching import tick as tick_module
from cp_assets.watching.cursor import MAX_PENDING, Cursor
from cp_assets_tests.watching.house import START, Files, House, plate

OPTIONS = SensorOptions(quiet_seconds=300, plates_per_tick=50, runs_per_tick=10)


def house_of(plates: int, *, age: float = 1000.0, options: SensorOptions = OPTIONS) -> House:
    files = Files()
    for number in range(plates):
        files.upload(plate(number), "Image.csv", 1, START - age)
    return House(files=files, options=options)


def test_new_plate_gets_its_partition_at_once_and_its_run_when_it_is_quiet() -> None:
    house = house_of(1, age=10)
    first = house.tick()
    assert (first.new, first.uploading, first.requests) == ([plate(0)], [plate(0)], [])
    house.now += 299
    assert not house.tick().requests
    house.now += 1
    (request,) = house.tick().requests
    assert (request.key, request.number) == (plate(0), 1)
    assert set(house.seen) == {plate(0)}
    house.now += 1000
    again = house.tick()
    assert (again.new, again.observed, again.requests, again.cursor.pending) == ([], [], [], {})


def test_plate_is_waited_for_while_it_grows() -> None:
    house = house_of(1)
    for _ in range(5):
        house.tick()
        house.now += 300
        house.files.upload(plate(0), f"{house.now}.csv", 1, house.now)
    assert not house.runs
    house.settle(2)
    assert len(house.runs) == 1


def test_plate_copied_with_old_times_is_waited_for_as_long() -> None:
    house = house_of(1, age=1e8)
    house.tick()
    house.now += 299
    assert not house.tick().requests
    house.now += 1
    assert house.tick().requests


def test_plate_of_a_clock_that_is_ahead_is_waited_for_until_its_time_has_passed_too() -> None:
    house = house_of(1, age=-200)
    house.tick()
    house.now += 300
    assert not house.tick().requests
    house.now += 200
    assert house.tick().requests


def test_plate_of_a_clock_that_is_far_ahead_is_not_waited_for_for_years() -> None:
    house = house_of(1, age=-1e8)
    house.tick()
    house.now += 300
    assert house.tick().requests


def test_changed_plate_is_built_again_and_no_other() -> None:
    house = house_of(3)
    house.settle(2)
    assert len(house.runs) == 3
    house.files.upload(plate(1), "Image.csv", 2, house.now)
    house.settle(3)
    assert [run.key for run in house.runs[3:]] == [plate(1)]


def test_plate_put_back_as_it_once_was_is_built_again() -> None:
    house = house_of(1)
    house.settle(2)
    for size in (2, 1):
        house.files.upload(plate(0), "Image.csv", size, START - 1000)
        house.settle(3)
    assert [run.number for run in house.runs] == [1, 2, 3]
    assert house.runs[0].digest == house.runs[2].digest


def test_plate_whose_run_failed_is_requested_again_only_when_it_changes() -> None:
    house = house_of(1)
    house.settle(10)  # Its run ends; how, nobody asks.
    assert len(house.runs) == 1
    house.files.upload(plate(0), "Image.csv", 2, house.now)
    house.settle(3)
    assert len(house.runs) == 2


def test_plate_that_changes_while_it_is_built_waits_for_the_end_of_its_run() -> None:
    house = house_of(1)
    house.tick()
    house.now += 300
    house.tick()
    house.files.upload(plate(0), "Image.csv", 2, house.now)
    for _ in range(3):
        house.now += 301
        result = house.tick()
    assert (result.building, len(house.runs)) == ([plate(0)], 1)
    house.finish_runs()
    assert [one.number for one in house.tick().requests] == [2]


def test_plates_that_are_built_already_are_recorded_and_not_built() -> None:
    house = house_of(3)
    house.partitions = {plate(number) for number in range(3)}
    house.built = {plate(0): START - 500, plate(1): START - 2000}
    house.settle(3)
    # The files of plate 1 are newer than its tables, plate 2 has none.
    assert [run.key for run in house.runs] == [plate(1), plate(2)]
    assert set(house.seen) == house.partitions
    # Later changes count, even with an old time.
    house.files.upload(plate(0), "Image.csv", 7, START - 9000)
    house.settle(3)
    assert [run.key for run in house.runs[2:]] == [plate(0)]


def test_removed_plate_is_reported_once_and_comes_back_without_a_run() -> None:
    house = house_of(2)
    house.settle(2)
    files = house.files.plates.pop(plate(0))
    house.settle(3)
    assert house.gone == [plate(0)]
    assert plate(0) in house.partitions
    house.cursor = ""
    house.settle(1)
    assert house.gone == [plate(0)]
    house.files.plates[plate(0)] = files
    house.settle(3)
    assert not house.seen[plate(0)].is_gone
    assert len(house.runs) == 2


def test_many_removed_plates_are_reported_some_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tick_module, "MAX_GONE", 3)
    house = house_of(9)
    house.settle(3)
    house.partitions.add(plate(100))
    for number in range(1, 9):
        del house.files.plates[plate(number)]
    found = [house.tick() for _ in range(5)]
    assert [len(one.gone) for one in found] == [3, 3, 2, 0, 0]
    assert found[-1].gone_unseen == []
    assert plate(100) in found[2].gone_unseen


def test_no_run_is_requested_where_automation_conditions_do_it() -> None:
    house = house_of(2, options=replace(OPTIONS, runs_per_tick=0))
    house.settle(3)
    assert (len(house.seen), house.runs) == (2, [])
    assert not house.tick().cursor.pending


@pytest.mark.parametrize(("looks", "runs"), [(2, 1), (5, 2), (50, 10)])
def test_limits_of_a_tick_hold_and_all_plates_get_their_turn(looks: int, runs: int) -> None:
    options = replace(OPTIONS, plates_per_tick=looks, runs_per_tick=runs)
    house = house_of(40, options=options)
    for _ in range(120):
        house.files.looked_at.clear()
        result = house.tick()
        assert len(house.files.looked_at) <= looks
        assert len(set(house.files.looked_at)) == len(house.files.looked_at)
        assert len(result.requests) <= runs
        house.now += 301
        house.finish_runs()
    assert sorted(run.key for run in house.runs) == sorted(house.files.plates)
    house.files.looked_at.clear()
    for _ in range(-(-40 // looks)):
        house.tick()
    assert len(set(house.files.looked_at)) == 40


def test_plate_that_never_ends_uploading_holds_up_no_other() -> None:
    house = house_of(6, options=replace(OPTIONS, plates_per_tick=2))
    house.settle(30)
    for number in range(40):
        house.files.upload(plate(0), f"{number}.csv", 1, house.now)
        if number == 5:
            house.files.upload(plate(5), "Image.csv", 2, house.now)
        house.now += 301
        house.finish_runs()
        house.tick()
    assert len(house.runs_of(plate(5))) == 2
    assert len(house.runs_of(plate(0))) == 1


def test_tick_ends_in_time_and_a_large_plate_begins_the_next() -> None:
    house = house_of(3, options=replace(OPTIONS, tick_seconds=30))
    house.files.seconds_a_file = 1
    for number in range(25):
        house.files.upload(plate(1), f"{number}.csv", 1, START - 500)
    house.files.upload(plate(0), "more.csv", 1, START - 500)
    for number in range(5):
        house.files.upload(plate(0), f"{number}.csv", 1, START - 500)
    result = house.tick()
    assert house.files.clock <= 31
    assert result.uploading == [plate(0)]
    assert result.cursor.slow == plate(1).partition_key
    house.files.looked_at.clear()
    assert house.tick().uploading[0] == plate(1)
    assert house.files.looked_at[0] == plate(1)


def test_plate_that_no_tick_is_long_enough_for_is_told_and_passed_over() -> None:
    house = house_of(3, options=replace(OPTIONS, tick_seconds=30))
    house.files.seconds_a_file = 1
    for number in range(40):
        house.files.upload(plate(0), f"{number}.csv", 1, START - 500)
    ((key, why),) = house.tick().faults
    assert (key, why) == (
        plate(0),
        "its files cannot be listed in 30 s: raise sensor.tick_seconds",
    )
    house.settle(8)
    assert [run.key for run in house.runs] == [plate(1), plate(2)]


def test_plate_that_cannot_be_listed_is_told_and_holds_up_no_other() -> None:
    house = house_of(2)
    house.files.broken[plate(0)] = ConfigurationError("folder x: cannot be listed")
    assert house.tick().faults == [(plate(0), "folder x: cannot be listed")]
    house.settle(3)
    assert [run.key for run in house.runs] == [plate(1)]
    del house.files.broken[plate(0)]
    house.settle(3)
    assert [run.key for run in house.runs] == [plate(1), plate(0)]


def test_ten_thousand_plates_keep_the_cursor_small() -> None:
    options = replace(OPTIONS, plates_per_tick=1000, runs_per_tick=100)
    house = house_of(10_000, options=options)
    sizes = []
    for _ in range(5):
        result = house.tick()
        sizes.append(len(house.cursor))
        house.now += 301
        house.finish_runs()
    assert len(result.cursor.pending) == MAX_PENDING
    assert result.is_full
    assert len(house.runs) == 400
    assert max(sizes) < 30_000


def test_a_cursor_that_was_lost_costs_looks_and_no_run() -> None:
    house = house_of(5)
    house.settle(3)
    house.cursor = Cursor().to_text()
    house.settle(5)
    assert len(house.runs) == 5
