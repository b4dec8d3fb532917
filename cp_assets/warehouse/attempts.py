"""Asking a catalog to take a change of a table, until it has taken or refused it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pyiceberg.exceptions import CommitFailedException

from cp_assets.errors import (
    CpAssetsError,
    WarehouseCommitUnknownError,
    WarehouseConflictError,
    WarehouseUnavailableError,
    WarehouseWriteError,
)
from cp_assets.warehouse.faults import passes
from cp_assets.warehouse.foreign_errors import first_line, shown_cause
from cp_assets.warehouse.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyiceberg.table import Table

_PATIENCE_SECONDS = 300.0


class Attempt(Protocol):
    """A change of a table, on the table as it was when the attempt began.

    Attributes
    ----------
    may_be_taken
        Whether the catalog may have taken it: it was asked and has not said no.
    """

    may_be_taken: bool

    @property
    def snapshot_id(self) -> int:
        """The snapshot that it adds."""
        ...

    def send(self) -> int:
        """Ask the catalog to take it; gives its snapshot.

        Raises
        ------
        CommitFailedException
            If the table has changed since; nothing is left behind.
        """
        ...

    def discard(self) -> None:
        """Remove its files: the catalog has not taken it."""
        ...


@dataclass
class Attempts:
    """Commits one after the other, until the catalog has taken one.

    Where a catalog does not answer, it may have taken the commit, now or in a moment: the table's
    history tells. Another attempt is no danger, since each is built on the state before it, and
    the catalog takes one of them at most.
    """

    table: Table
    attempt: Callable[[], Attempt | None]
    what: str
    _unsure: list[Attempt] = field(default_factory=list)
    _is_stale: bool = False

    def run(self) -> int | None:
        """The snapshot, or None where there was nothing to commit."""
        patience = Patience(_PATIENCE_SECONDS)
        while True:
            try:
                return self._try()
            except CpAssetsError:
                raise
            except Exception as error:  # noqa: BLE001 - a catalog may be of any class
                if not passes(error):
                    return self._settle(error, patience)
                if not patience.wait():
                    raise self._given_up(error) from shown_cause(error)
            self._is_stale = True

    def _try(self) -> int | None:
        if self._is_stale:
            self.table.refresh()
            self._is_stale = False
        taken = self._taken()
        if taken is not None:
            return taken
        commit = self.attempt()
        if commit is None:
            return None
        try:
            snapshot_id = commit.send()
        finally:
            if commit.may_be_taken:
                self._unsure.append(commit)
        self._forget(snapshot_id)
        return snapshot_id

    def _taken(self) -> int | None:
        """The snapshot of an earlier attempt that the catalog has taken after all."""
        history = {snapshot.snapshot_id for snapshot in self.table.metadata.snapshots}
        for commit in self._unsure:
            if commit.snapshot_id in history:
                self._forget(commit.snapshot_id)
                return commit.snapshot_id
        return None

    def _forget(self, taken: int | None) -> None:
        """Remove the files of the other attempts, which the catalog can take no more."""
        for commit in self._unsure:
            if commit.snapshot_id != taken:
                commit.discard()
        self._unsure.clear()

    def _settle(self, error: Exception, patience: Patience) -> int:
        """Find out whether a commit that ended in an error is there; else raise the error."""
        if not self._unsure:
            raise error
        while True:
            try:
                self.table.refresh()
                break
            except Exception as silence:  # noqa: BLE001 - as above
                if not passes(silence) or not patience.wait():
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
