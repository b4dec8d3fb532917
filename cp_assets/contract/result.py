"""What was found about a table and the join contract."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from cp_assets.contract.names import RECOMMENDED, REQUIRED


@dataclass(frozen=True)
class RowKey:
    """Whether each row of a table has a name of its own.

    Attributes
    ----------
    level
        What one row is, as its columns tell: ``crop``, ``object`` or ``image``.
    columns
        Those that together name a row.
    rows
        Rows that have a value in each of them.
    repeated
        Different keys that several rows have.
    examples
        Some of these, their values joined by ``/``.
    """

    level: str
    columns: tuple[str, ...]
    rows: int
    repeated: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Coverage:
    """How rows and images find each other; an image is a pair of dataset_id and image_id.

    Attributes
    ----------
    rows, rows_with_image
        Rows of the table, and those whose image is there.
    images, images_with_rows
        Different images, and those that some row names.
    rows_without_image_examples, images_without_rows_examples
        ``dataset_id/image_id`` of some that find nothing.
    """

    source: str
    rows: int
    rows_with_image: int
    images: int
    images_with_rows: int
    rows_without_image_examples: tuple[str, ...]
    images_without_rows_examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ContractResult:
    """A table held against the join contract.

    The first seven are those of iceberg-bioimage's ``ContractValidationResult``.

    Attributes
    ----------
    target
        The file, folder or table.
    errors
        What makes the table invalid, a line each; empty for a valid one.
    warnings
        What joins, and says less.
    resolved_columns
        Name of the contract -> column that serves for it; None where there is none.
    dataset_id
        The value that was given for a table without such a column.
    rows
        None where the rows were not looked at.
    nulls
        Name of the contract -> rows without a value.
    row_key
        None where no column names the rows, or they were not looked at.
    coverage
        None where no images were given.
    """

    target: str
    present_columns: tuple[str, ...]
    missing_required_columns: tuple[str, ...]
    missing_recommended_columns: tuple[str, ...]
    required_columns: tuple[str, ...] = REQUIRED
    recommended_columns: tuple[str, ...] = RECOMMENDED
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    resolved_columns: dict[str, str | None] = field(default_factory=dict)
    dataset_id: str | None = None
    rows: int | None = None
    nulls: dict[str, int] = field(default_factory=dict)
    row_key: RowKey | None = None
    coverage: Coverage | None = None

    @property
    def is_valid(self) -> bool:
        """Whether the table keeps the contract."""
        return not self.errors

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {**found, "is_valid": self.is_valid}

    def to_json(self, **options: Any) -> str:
        """As JSON; takes the options of `json.dumps`."""
        return json.dumps(self.to_dict(), **options)
