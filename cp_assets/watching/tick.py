"""One tick of a dataset's sensor: which plates are looked at, and what follows from it.

A plate counts as uploaded when its newest change is some minutes old and its files were found in
the same state twice, as long apart: files that are copied with their old times, or that come from
a machine with another clock, are waited for too. Then its state is recorded, and its run is
requested unless the run that was requested last was for that state.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cp_assets.datasets.fingerprints import digest
from cp_assets.errors import CpAssetsError, one_line
from cp_assets.watching.cursor import MAX_PENDING, Cursor, Pending
from cp_assets.watching.looking import Budget, Clock, TickOverError
from cp_assets.watching.needs import RunRequest, needs_of
from cp_assets.watching.queue import looking_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cp_assets.datasets.identity import PlateKey
    from cp_assets.datasets.plate_files import DatasetFiles
    from cp_assets.datasets.sensor_options import SensorOptions
    from cp_assets.watching.plate_state import PlateState
    from cp_assets.watching.records import Observed, Records

MAX_GONE = 50
"""Plates that are reported as gone in one tick, at most."""


@dataclass
class TickResult:
    """What a tick found.

    Attributes
    ----------
    plates
        How many there are.
    new
        Plates that are not on record yet.
    observed
        Plates whose state is to be recorded, and that state.
    requests
        Runs that plates need.
    gone
        Plates to be recorded as gone, and what was recorded of them last.
    gone_unseen
        Plates that are gone and of which no state was ever recorded.
    uploading
        Plates that changed a moment ago.
    building
        Plates that changed again while their run of before has not ended.
    faults
        Plates that could not be looked at, and why.
    is_full
        Whether more plates are new or changed than are waited for at a time.
    """

    plates: int = 0
    new: list[PlateKey] = field(default_factory=list)
    observed: list[tuple[PlateKey, PlateState]] = field(default_factory=list)
    requests: list[RunRequest] = field(default_factory=list)
    gone: list[tuple[PlateKey, Observed]] = field(default_factory=list)
    gone_unseen: list[PlateKey] = field(default_factory=list)
    uploading: list[PlateKey] = field(default_factory=list)
    building: list[PlateKey] = field(default_factory=list)
    faults: list[tuple[PlateKey, str]] = field(default_factory=list)
    is_full: bool = False
    cursor: Cursor = field(default_factory=Cursor)


class Tick:
    """One tick; to be run once.

    Parameters
    ----------
    now
        Seconds since 1970.
    clock
        Measures how long the tick takes.
    """

    def __init__(
        self,
        files: DatasetFiles,
        records: Records,
        options: SensorOptions,
        *,
        now: float | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._files = files
        self._records = records
        self._options = options
        self._now = round(time.time() if now is None else now, 1)
        self._budget = Budget(options.plates_per_tick, options.tick_seconds, clock)
        self._pending: dict[PlateKey, Pending] = {}
        self._result = TickResult()

    def run(self, cursor: Cursor) -> TickResult:
        """Look at plates as long as the limits allow; says what is to be done and remembered."""
        result = self._result
        keys = self._files.keys()
        there = set(keys)
        known = self._records.plates()
        result.plates = len(keys)
        result.new = [key for key in keys if key not in known]
        self._pending = {key: one for key, one in cursor.pending.items() if key in there}
        for key in result.new:
            self._wait_for(key, self._pending.get(key, Pending()))
        last, slow = self._look_around(keys, cursor)
        gone = self._report_gone(sorted(known - there), cursor.gone)
        result.cursor = Cursor(self._pending, last, slow, gone)
        return result

    def _look_around(self, keys: Sequence[PlateKey], cursor: Cursor) -> tuple[str, str]:
        """Look at plates; gives the last of those that go round, and one that did not fit in."""
        last = cursor.last
        pending = set(self._pending)
        order = looking_order(keys, self._due(), pending, last=last, slow=cursor.slow)
        for key, goes_round in order:
            if self._budget.is_spent:
                break
            if not self._is_worth_a_look(key):
                continue
            if not self._look(key):
                return last, key.partition_key
            if goes_round:
                last = key.partition_key
        return last, ""

    def _due(self) -> list[PlateKey]:
        """Pending plates to look at again, those that wait longest first."""
        waiting = sorted((one.since, key) for key, one in self._pending.items())
        return [key for since, key in waiting if self._is_due(self._pending[key], since)]

    def _is_due(self, pending: Pending, since: float) -> bool:
        return not pending.digest or self._now - since >= self._options.quiet_seconds

    def _is_worth_a_look(self, key: PlateKey) -> bool:
        """Whether a look can lead to anything: not if the plate waits for the next tick's runs."""
        is_ready = key in self._pending and self._pending[key].digest
        return not is_ready or not self._options.runs_per_tick or self._runs_left > 0

    @property
    def _runs_left(self) -> int:
        return self._options.runs_per_tick - len(self._result.requests)

    def _look(self, key: PlateKey) -> bool:
        """Look at a plate; False if what is left of the tick is too short for it."""
        is_first = self._budget.is_untouched
        try:
            state = self._budget.look(self._files.files(key))
        except TickOverError:
            if not is_first:
                return False
            seconds = self._options.tick_seconds
            self._fault(
                key, f"its files cannot be listed in {seconds} s: raise sensor.tick_seconds"
            )
        except (CpAssetsError, OSError) as error:
            self._fault(key, one_line(error))
        else:
            self._judge(key, state)
        return True

    def _fault(self, key: PlateKey, why: str) -> None:
        self._result.faults.append((key, why))
        if key in self._pending:
            # Others are looked at before it.
            self._pending[key] = replace(self._pending[key], since=self._now)

    def _judge(self, key: PlateKey, state: PlateState) -> None:
        """Say what follows from the state of a plate's files."""
        before = self._pending.get(key, Pending())
        needs = needs_of(key, state, self._records, has_changed=before.has_changed)
        run = needs.run if self._options.runs_per_tick else None
        if not needs.record and run is None:
            self._pending.pop(key, None)
        elif before.digest != state.digest:
            newest, since = round(state.newest, 1), self._now
            seen = Pending(state.digest, newest, state.files, since, needs.has_changed)
            if self._wait_for(key, seen):
                self._result.uploading.append(key)
        elif not self._is_quiet(before, state):
            self._result.uploading.append(key)
        else:
            self._settle(key, state, run, must_wait=needs.must_wait)

    def _is_quiet(self, pending: Pending, state: PlateState) -> bool:
        quiet = self._options.quiet_seconds
        # A change in the future is one by another clock: the two looks tell.
        is_old = state.newest <= self._now - quiet or state.newest > self._now
        return is_old and self._now - pending.since >= quiet

    def _settle(
        self, key: PlateKey, state: PlateState, run: RunRequest | None, *, must_wait: bool
    ) -> None:
        """A plate's files are all there: record their state, and request the run that it needs."""
        if run is not None and must_wait:
            self._result.building.append(key)
        elif run is None or self._runs_left > 0:
            self._result.observed.append((key, state))
            self._result.requests += [] if run is None else [run]
            del self._pending[key]

    def _wait_for(self, key: PlateKey, pending: Pending) -> bool:
        """Keep a plate in mind; False if there are too many."""
        if key not in self._pending and len(self._pending) >= MAX_PENDING:
            self._result.is_full = True
            return False
        self._pending[key] = pending
        return True

    def _report_gone(self, gone: Sequence[PlateKey], reported: str) -> str:
        """Report plates that are gone, each once; gives the digest of those that are reported."""
        all_ = digest(map(str, gone))[:16] if gone else ""
        if all_ == reported:
            return all_
        for key in gone:
            observed = self._records.observed(key)
            if observed is None:
                self._result.gone_unseen.append(key)
            elif not observed.is_gone:
                self._result.gone.append((key, observed))
            if len(self._result.gone) == MAX_GONE:
                return ""
        return all_
