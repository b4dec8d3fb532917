"""The books: what could not be used, and why.

Every room that drops something says so here, so that objects read = objects joined + objects
rejected, and crops expected = crops written + crops rejected. The log becomes rows of
``quality_control.rejected_rows``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

RejectionKind = Literal["row", "object", "crop", "image", "file"]

Outcome = Literal["rejected", "incomplete"]
"""``rejected``: not in the table. ``incomplete``: in the table, with nulls for what is missing."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One input row, object, crop or file that could not be used as it is.

    Attributes
    ----------
    kind
        What it is: ``row``, ``object``, ``crop``, ``image`` or ``file``.
    reason
        A short stable word to group by, such as ``duplicate_key``.
    detail
        One sentence that names the value found and what was expected.
    source_file
        The file it came from, relative to the dataset, or None where no file is known.
    source_row
        Row of that file, counted from 1 without the header, or None.
    count
        How many rows, objects or crops this entry stands for.
    """

    kind: RejectionKind
    reason: str
    detail: str
    outcome: Outcome = "rejected"
    compartment: str | None = None
    well_id: str | None = None
    site_id: str | None = None
    image_id: str | None = None
    object_number: int | None = None
    channel: str | None = None
    source_file: str | None = None
    source_row: int | None = None
    count: int = 1


@dataclass
class RejectionLog:
    """Collects the rejections of one plate's step, in the order in which they were found."""

    entries: list[Rejection] = field(default_factory=list)

    def add(self, rejection: Rejection) -> None:
        """Record one rejection."""
        self.entries.append(rejection)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Rejection]:
        return iter(self.entries)

    def count(
        self, kind: str | None = None, outcome: Outcome = "rejected", reason: str | None = None
    ) -> int:
        """How many things of a kind, or of all kinds, ended with this outcome."""
        return sum(
            entry.count
            for entry in self.entries
            if entry.outcome == outcome
            and (kind is None or entry.kind == kind)
            and (reason is None or entry.reason == reason)
        )

    def by_reason(self) -> dict[str, int]:
        """Totals by reason, both outcomes together, for a report."""
        totals: Counter[str] = Counter()
        for entry in self.entries:
            totals[entry.reason] += entry.count
        return dict(sorted(totals.items()))
