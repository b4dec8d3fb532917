"""Entries in the books of single objects, from their raw rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    from collections.abc import Mapping

ROW_COLUMNS = ("well_id", "site_id", "image_id", "source_folder", "source_file", "source_row")
"""Columns that say which row it is, beside its numbers."""

OBJECT_COLUMNS = (*ROW_COLUMNS, "ObjectNumber")
"""The columns that an entry names."""


def object_rejection(
    row: Mapping[str, object],
    compartment: str,
    reason: str,
    detail: str,
    *,
    incomplete: bool = False,
) -> Rejection:
    """Record an object that is in no joined row, or (``incomplete``) in one that lacks something.

    Parameters
    ----------
    row
        Its `OBJECT_COLUMNS`.
    """
    return Rejection(
        kind="object",
        reason=reason,
        detail=detail,
        outcome="incomplete" if incomplete else "rejected",
        compartment=compartment,
        well_id=row["well_id"],  # type: ignore[arg-type]
        site_id=row["site_id"],  # type: ignore[arg-type]
        image_id=row["image_id"],  # type: ignore[arg-type]
        object_number=row["ObjectNumber"],  # type: ignore[arg-type]
        source_file=row["source_file"],  # type: ignore[arg-type]
        source_row=row["source_row"],  # type: ignore[arg-type]
    )
