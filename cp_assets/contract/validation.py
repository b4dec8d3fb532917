"""Holding a table against the join contract: its columns, its keys, its images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cp_assets.contract.counting import KeyCounts, count_keys, cover, find_repeated
from cp_assets.contract.key_values import image_columns
from cp_assets.contract.names import CONTRACT, NO_ALIASES, RECOMMENDED, REQUIRED, Aliases, row_key
from cp_assets.contract.result import ContractResult, Coverage, RowKey
from cp_assets.contract.scratch import MAX_MEMORY, scratch_connection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb

    from cp_assets.contract.profile_tables import Rows


def validate_columns(
    columns: Iterable[str],
    target: str = "profile_table",
    aliases: Aliases = NO_ALIASES,
    dataset_id: str | None = None,
) -> ContractResult:
    """Hold a table's columns against the contract; its rows are not looked at.

    Parameters
    ----------
    dataset_id
        Of all rows, for a table that has no such column.
    """
    present = tuple(columns)
    found = aliases.resolve(present)
    given = _given(found, dataset_id)
    missing = {name for name in CONTRACT if name not in found and name not in given}
    lacking = tuple(name for name in REQUIRED if name in missing)
    poorer = tuple(name for name in RECOMMENDED if name in missing)
    renamed = [f"{name}<-{found[name]}" for name in CONTRACT if found.get(name, name) != name]
    warnings = [f"columns of other names serve: {', '.join(renamed)}"] if renamed else []
    if poorer:
        warnings.append(f"recommended columns are missing: {', '.join(poorer)}")
    return ContractResult(
        target=target,
        present_columns=present,
        missing_required_columns=lacking,
        missing_recommended_columns=poorer,
        warnings=tuple(warnings),
        errors=(f"required columns are missing: {', '.join(lacking)}",) if lacking else (),
        resolved_columns={name: found.get(name) for name in CONTRACT},
        dataset_id=given.get("dataset_id"),
    )


def validate_rows(
    rows: Rows,
    *,
    aliases: Aliases = NO_ALIASES,
    dataset_id: str | None = None,
    images: Rows | None = None,
    max_memory: int = MAX_MEMORY,
) -> ContractResult:
    """Hold a table against the contract: its columns, missing and repeated keys, its images.

    Each of the three reads only the key columns, as a stream.

    Parameters
    ----------
    dataset_id
        Of all rows, for a table that has no such column.
    images
        What the rows shall find: rows with ``dataset_id`` and ``image_id``, or aliases of them.
    max_memory
        Bytes that DuckDB may take before it spills.

    Raises
    ------
    MeasurementError
        If the table cannot be read, or a key is neither text nor a number.
    ConfigurationError
        If the images have no ``dataset_id`` or ``image_id``.
    """
    schema = validate_columns(rows.columns, rows.name, aliases, dataset_id)
    found = aliases.resolve(rows.columns)
    key = row_key(found, rows.columns)
    with scratch_connection(max_memory) as connection:
        counts = count_contract(connection, rows, aliases, dataset_id)
        unique = find_repeated(connection, rows, *key) if key else None
        coverage = None
        if images is not None and not schema.missing_required_columns:
            coverage = cover(connection, images, image_columns(images))
    return _judged(schema, counts, unique, coverage)


def count_contract(
    connection: duckdb.DuckDBPyConnection,
    rows: Rows,
    aliases: Aliases = NO_ALIASES,
    dataset_id: str | None = None,
) -> KeyCounts:
    """Count a table's rows, and those without a value in a column of the contract."""
    found = aliases.resolve(rows.columns)
    columns = {name: found[name] for name in CONTRACT if name in found}
    return count_keys(connection, rows, columns, _given(found, dataset_id))


def lines_of_nulls(counts: KeyCounts, columns: Mapping[str, str | None]) -> dict[str, str]:
    """Name -> what is missing in it, for those that lack values."""
    return {
        name: f"{columns.get(name) or name} is null in {nulls:,} of {counts.rows:,} rows"
        for name, nulls in counts.nulls.items()
        if nulls
    }


def _given(found: Mapping[str, str], dataset_id: str | None) -> dict[str, str]:
    return {"dataset_id": dataset_id} if dataset_id and "dataset_id" not in found else {}


def _judged(
    schema: ContractResult, counts: KeyCounts, unique: RowKey | None, coverage: Coverage | None
) -> ContractResult:
    """What all of it means: keys that are missing or repeated, and lost rows, are errors."""
    nulls = lines_of_nulls(counts, schema.resolved_columns)
    errors = [*schema.errors, *(line for name, line in nulls.items() if name in REQUIRED)]
    warnings = [*schema.warnings, *(line for name, line in nulls.items() if name in RECOMMENDED)]
    if not counts.rows:
        warnings.append("there are no rows")
    if unique is not None and unique.repeated:
        # Whether a table without objects has one row an image is not said by its columns.
        (warnings if unique.level == "image" else errors).append(_line_of_key(unique))
    if coverage is not None:
        errors += _lost_rows(coverage)
        warnings += _lost_images(coverage)
    return replace(
        schema,
        errors=tuple(errors),
        warnings=tuple(warnings),
        rows=counts.rows,
        nulls=counts.nulls,
        row_key=unique,
        coverage=coverage,
    )


def _line_of_key(key: RowKey) -> str:
    what = (
        "no column names objects, and" if key.level == "image" else f"one row is one {key.level},"
    )
    return (
        f"{what} {key.repeated:,} keys of {' + '.join(key.columns)} occur more than once: "
        f"{', '.join(key.examples)}"
    )


def _lost_rows(coverage: Coverage) -> list[str]:
    lost = coverage.rows - coverage.rows_with_image
    if not lost:
        return []
    examples = ", ".join(coverage.rows_without_image_examples)
    return [f"{lost:,} of {coverage.rows:,} rows find no image of {coverage.source}: {examples}"]


def _lost_images(coverage: Coverage) -> list[str]:
    lost = coverage.images - coverage.images_with_rows
    if not lost:
        return []
    examples = ", ".join(coverage.images_without_rows_examples)
    return [f"{lost:,} of {coverage.images:,} images of {coverage.source} have no row: {examples}"]
