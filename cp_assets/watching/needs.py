"""What a plate needs, by the state of its files and by what is on record of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cp_assets.datasets.identity import PlateKey
    from cp_assets.watching.plate_state import PlateState
    from cp_assets.watching.records import Observed, Records


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run that a plate needs.

    Attributes
    ----------
    number
        As `Requested.number`.
    """

    key: PlateKey
    digest: str
    number: int

    @property
    def run_key(self) -> str:
        """The same for the same request, however often it is made."""
        return f"{self.key}:{self.number}:{self.digest}"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a plate needs.

    Attributes
    ----------
    record
        Whether the state is to be recorded.
    run
        The run that the plate needs, or None.
    must_wait
        Whether the run of before has not ended yet.
    has_changed
        Whether the plate was recorded in another state before.
    """

    record: bool
    run: RunRequest | None
    must_wait: bool
    has_changed: bool


def needs_of(key: PlateKey, state: PlateState, records: Records, *, has_changed: bool) -> Needs:
    """What a plate needs whose files are all there.

    A plate that was never requested and never changed needs no run if its tables are newer than its
    files: people, a backfill or another sensor have built it.

    Parameters
    ----------
    has_changed
        Whether it is known to have been in another state before.
    """
    observed = records.observed(key)
    requested = records.requested(key)
    changed = has_changed or _is_other(observed, state)
    if requested is not None:
        is_built = requested.digest == state.digest
    else:
        built_at = None if changed else records.built_at(key)
        is_built = built_at is not None and built_at >= state.newest
    number = requested.number + 1 if requested else 1
    return Needs(
        record=observed is None or observed.is_gone or observed.versions != state.versions,
        run=None if is_built else RunRequest(key, state.digest, number),
        must_wait=requested is not None and not requested.is_finished,
        has_changed=changed,
    )


def _is_other(observed: Observed | None, state: PlateState) -> bool:
    if observed is None:
        return False
    # A kind of files that was not recorded says nothing.
    return any(state.versions.get(kind) != known for kind, known in observed.versions.items())
