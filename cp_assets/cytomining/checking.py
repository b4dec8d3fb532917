"""Any warehouse root held against the specification, clause by clause."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cp_assets.cytomining import judging
from cp_assets.cytomining.clauses import CLAUSES, Clause
from cp_assets.cytomining.inspection import FoundRoot, inspect_root
from cp_assets.stores import StoreSettings, place

if TYPE_CHECKING:
    from cp_assets.stores import Place

Outcome = Literal["met", "broken", "not applicable"]


@dataclass(frozen=True)
class ClauseResult:
    """One clause and how a root stands to it.

    Attributes
    ----------
    findings
        What breaks it, and where.
    reason
        Why it does not apply.
    """

    clause: Clause
    outcome: Outcome
    findings: tuple[str, ...] = ()
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "section": self.clause.section,
            "number": self.clause.number,
            "word": self.clause.word,
            "text": self.clause.text,
            "outcome": self.outcome,
            "findings": list(self.findings),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class RootReport:
    """A root held against all clauses.

    Attributes
    ----------
    version
        Of the specification, as the root declares it.
    """

    warehouse_root: str
    version: object
    results: tuple[ClauseResult, ...]

    @property
    def is_valid(self) -> bool:
        """Whether no clause is broken that a root must meet."""
        return not self.errors

    @property
    def errors(self) -> list[str]:
        """What breaks a MUST or MUST NOT."""
        return [one for result in self._broken(required=True) for one in result.findings]

    @property
    def warnings(self) -> list[str]:
        """What breaks a SHOULD."""
        return [one for result in self._broken(required=False) for one in result.findings]

    def result(self, key: str) -> ClauseResult:
        """The result of a clause, by its section and number."""
        return next(one for one in self.results if one.clause.key == key)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; the peer's fields, and every clause."""
        return {
            "warehouse_root": self.warehouse_root,
            "warehouse_spec_version": self.version,
            "is_valid": self.is_valid,
            "errors": self.errors,
            "warnings": self.warnings,
            "clauses": [one.to_dict() for one in self.results],
        }

    def to_json(self, **options: Any) -> str:
        """As JSON; options are those of `json.dumps`."""
        return json.dumps(self.to_dict(), **options)

    def _broken(self, *, required: bool) -> Iterable[ClauseResult]:
        return (
            one
            for one in self.results
            if one.outcome == "broken" and one.clause.is_required == required
        )


def check_root(root: str | Place, stores: StoreSettings | None = None) -> RootReport:
    """Hold a root against the Cytomining Warehouse Specification; ours, or anybody's.

    Parameters
    ----------
    root
        A folder, or a URL of an object store.

    Raises
    ------
    WarehouseRootError
        If there is no such folder, or its manifest has a major version that is not known.
    """
    found = inspect_root(place(root, stores))
    return RootReport(str(root), found.version, tuple(_result(one, found) for one in CLAUSES))


def _result(clause: Clause, root: FoundRoot) -> ClauseResult:
    if clause.outside is not None:
        return ClauseResult(clause, "not applicable", reason=clause.outside)
    verdict = JUDGES[clause.key](root)
    if isinstance(verdict, str):
        return ClauseResult(clause, "not applicable", reason=verdict)
    findings = tuple(verdict)
    return ClauseResult(clause, "broken" if findings else "met", findings)


Judge = Callable[[FoundRoot], "list[str] | str"]

JUDGES: dict[str, Judge] = judging.JUDGES
