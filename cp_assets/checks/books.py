"""The books of a plate, as checks read them."""

from collections.abc import Collection

import pandas as pd

from cp_assets.building.rejected import REJECTED_ROWS
from cp_assets.checks.outcome import PlateTables


def books_of(tables: PlateTables, table: str) -> pd.DataFrame:
    """All entries of the plate's books of a table, rejected and incomplete."""
    rows = tables.rows(REJECTED_ROWS.name).batches(narrow={"table_name": table})
    frames = [batch.to_pandas() for batch in rows]
    return pd.concat(frames) if frames else pd.DataFrame(columns=REJECTED_ROWS.schema.names)


def rejected_of(tables: PlateTables, table: str) -> pd.DataFrame:
    """Entries of what is not in the table."""
    found = books_of(tables, table)
    return found[found["outcome"] == "rejected"]


def told(tables: PlateTables, table: str, reasons: Collection[str]) -> list[str]:
    """`lines_of` the entries of some reasons."""
    found = books_of(tables, table)
    return lines_of(found[found["reason"].isin(reasons)])


def lines_of(found: pd.DataFrame) -> list[str]:
    """One line for each entry: file, row and what was found."""
    rows = zip(found["source_file"], found["source_row"], found["detail"], strict=True)
    return [
        f"{file}{'' if pd.isna(row) else f' row {int(row)}'}: {what}" for file, row, what in rows
    ]
