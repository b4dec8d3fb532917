"""Asking a catalog again: until it has taken one of the attempts at a change, and never two."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pyiceberg.exceptions import CommitFailedException

from cp_assets.errors import (
    CpAssetsError,
    WarehouseCommitUnknownError,
    WarehouseConflictError,
    WarehouseUnavailableError,
    WarehouseWriteError,
)
from cp_assets.retries import Deadline
from cp_assets.warehouse.faults import passes
from cp_assets.warehouse.foreign_errors import first_line, shown_cause
from cp_assets.warehouse.patience import asking

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyiceberg.table import Table
    from pyiceberg.table.metadata import TableMetadata

_PATIENCE_SECONDS = 300.0


class Attempt(Protocol):
    """A change of a table that the catalog may refuse.

    Attributes
    ----------
    may_be_taken
        Whether the catalog was asked and did not answer.
    """

    may_be_taken: bool

    def send(self) -> None:
        """Ask the catalog to take it.

        Raises
        ------
        CommitFailedException
            If the table has changed since; nothing is left behind.
        """
        ...

    def is_in(self, metadata: TableMetadata) -> bool:
        """Whether a table's metadata show that it was taken."""
        ...

    def discard(self) -> None:
        """Remove its files."""
        ...


Made = TypeVar("Made", bound=Attempt)


def patiently(table: Table, attempt: Callable[[], Made | None], what: str) -> Made | None:
    """Commit what an attempt makes of the table as it is now, again where others were quicker.

    A catalog or a store that does not answer is waited for too.

    Returns
    -------
    The attempt that was taken, or None where there is nothing to do.

    Raises
    ------
    WarehouseConflictError
        If other writers left no gap for minutes.
    WarehouseUnavailableError
        If catalog or storage did not answer for minutes.
    WarehouseCommitUnknownError
        If the catalog could not say for minutes whether it took the commit. No other error of the
        class `Exception` leaves that open.
    """
    return _Attempts(table, attempt, what).run()


@dataclass
class _Attempts(Generic[Made]):
    """Commits one after the other, until the catalog has taken one.

    Where a catalog does not answer, it may have taken the commit, now or in a moment: the table's
    history tells. Another attempt is no danger, since each is built on the state before it, and
    the catalog takes one of them at most.
    """

    table: Table
    attempt: Callable[[], Made | None]
    what: str
    _unsure: list[Made] = field(default_factory=list)
    _is_stale: bool = False

    def run(self) -> Made | None:
        """The attempt that was taken, or None where there was nothing to commit."""
        deadline = Deadline(_PATIENCE_SECONDS)
        try:
            return asking(deadline)(self._try)
        except CpAssetsError:
            raise
        except Exception as error:  # noqa: BLE001 - a catalog may be of any class
            if not passes(error):
                return self._settle(error, deadline)
            raise self._given_up(error) from shown_cause(error)

    def _try(self) -> Made | None:
        if self._is_stale:
            self.table.refresh()
        self._is_stale = True
        taken = self._taken()
        if taken is not None:
            return taken
        try:
            commit = self.attempt()
        except WarehouseConflictError as error:
            if self._unsure:
                # Our own files may be a part of what is there, or of its history.
                raise self._given_up(error) from None
            raise
        if commit is None:
            return None
        try:
            commit.send()
        finally:
            if commit.may_be_taken:
                self._unsure.append(commit)
        self._forget(commit)
        return commit

    def _taken(self) -> Made | None:
        """An earlier attempt that the catalog has taken after all."""
        for commit in self._unsure:
            if commit.is_in(self.table.metadata):
                self._forget(commit)
                return commit
        return None

    def _forget(self, taken: Made | None) -> None:
        """Remove the files of the other attempts, which the catalog can take no more."""
        for commit in self._unsure:
            if commit is not taken:
                commit.discard()
        self._unsure.clear()

    def _settle(self, error: Exception, deadline: Deadline) -> Made:
        """Find out whether a commit that ended in an error is there; else raise the error."""
        if not self._unsure:
            raise error
        try:
            asking(deadline)(self.table.refresh)
        except Exception as silence:  # noqa: BLE001 - as above
            raise self._given_up(error) from shown_cause(silence)
        taken = self._taken()
        if taken is None:
            self._forget(None)
            raise error
        return taken

    def _given_up(self, error: Exception) -> WarehouseWriteError:
        told = first_line(error)
        if self._unsure:
            msg = (
                f"{self.what}: the catalog did not say whether it took the commit ({told}); the "
                "table holds the old rows or the new ones: run it again"
            )
            return WarehouseCommitUnknownError(msg)
        if isinstance(error, CommitFailedException):
            msg = f"{self.what}: other writers left no gap to commit ({told}); run it again"
            return WarehouseConflictError(msg)
        msg = f"{self.what}: catalog or storage did not answer for minutes ({told}); run it again"
        return WarehouseUnavailableError(msg)
