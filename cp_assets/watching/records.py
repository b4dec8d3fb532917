"""What is on record of a plate outside of the cursor: seen, requested, built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from cp_assets.datasets.identity import PlateKey
    from cp_assets.datasets.plate_files import FileKind


@dataclass(frozen=True, slots=True)
class Observed:
    """The state of a plate's files that was recorded last.

    Attributes
    ----------
    versions
        Kind of files -> digest of their states; a kind that was never recorded is left out.
    is_gone
        Whether the plate was recorded as gone.
    """

    versions: Mapping[FileKind, str]
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class Requested:
    """The run that was requested last for a plate.

    Attributes
    ----------
    digest
        Of the state that it was requested for.
    number
        Counts the plate's requested runs from 1: a plate that is put back as it once was is built
        again, although that state was built before.
    is_finished
        Whether the run has ended, well or not.
    """

    digest: str
    number: int
    is_finished: bool


class Records(Protocol):
    """Looks up what is on record."""

    def plates(self) -> Set[PlateKey]:
        """The dataset's plates that are on record at all."""

    def observed(self, key: PlateKey) -> Observed | None:
        """The state that was recorded last, or None."""

    def requested(self, key: PlateKey) -> Requested | None:
        """The run that was requested last, or None."""

    def built_at(self, key: PlateKey) -> float | None:
        """When all tables of the plate were built last, seconds since 1970, or None."""
