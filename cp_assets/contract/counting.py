"""Counting keys in DuckDB, in bounded memory: missing ones, repeated ones, those that find others.

Only keys are read, as text and as a stream, each time anew; what is kept is a row an image, or a
number a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.contract.key_values import registered_keys
from cp_assets.contract.names import REQUIRED
from cp_assets.contract.result import Coverage, RowKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from cp_assets.contract.profile_tables import Rows

SHOWN = 5
"""How many examples a result names."""

_PAIR = ", ".join(REQUIRED)
_SAME = " AND ".join(f"n.{name} = i.{name}" for name in REQUIRED)
_THERE = " AND ".join(f"{name} IS NOT NULL" for name in REQUIRED)


@dataclass(frozen=True)
class KeyCounts:
    """How many rows there are, and how many lack a key.

    Attributes
    ----------
    nulls
        Name -> rows without a value.
    """

    rows: int
    nulls: dict[str, int]


def count_keys(
    connection: duckdb.DuckDBPyConnection,
    rows: Rows,
    columns: Mapping[str, str],
    given: Mapping[str, str] | None = None,
) -> KeyCounts:
    """Count rows and missing keys, and note for `cover` which images the rows name.

    Parameters
    ----------
    columns
        Name -> column.
    given
        Name -> value that all rows have.
    """
    names = [*columns, *(given or {})]
    grouped = [name for name in REQUIRED if name in names]
    others = [name for name in names if name not in REQUIRED]
    missing = "".join(f", count(*) - count({name}) AS {name}" for name in others)
    picked = "".join(f"{name}, " for name in grouped)
    by = f" GROUP BY {', '.join(grouped)}" if grouped else ""
    with registered_keys(connection, rows, columns, given) as source:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE named_images AS "
            f"SELECT {picked}count(*) AS row_count{missing} FROM {source}{by}"
        )
    sums = [
        "sum(row_count)",
        *(f"sum(row_count) FILTER ({name} IS NULL)" for name in grouped),
        *(f"sum({name})" for name in others),
    ]
    found = connection.execute(f"SELECT {', '.join(sums)} FROM named_images").fetchall()[0]
    total, *nulls = (int(value or 0) for value in found)
    counted = dict(zip((*grouped, *others), nulls, strict=True))
    return KeyCounts(total, {name: counted[name] for name in names})


def find_repeated(
    connection: duckdb.DuckDBPyConnection, rows: Rows, level: str, columns: Sequence[str]
) -> RowKey:
    """Count keys that several rows have; rows without a value in each column have no key.

    Hashes are compared first, a number a row; only keys whose hash is there twice are looked at.
    """
    keys = {f"key_{at}": column for at, column in enumerate(columns)}
    listed = ", ".join(keys)
    complete = " AND ".join(f"{key} IS NOT NULL" for key in keys)
    with registered_keys(connection, rows, keys) as source:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE hashes AS "
            f"SELECT hash({listed}) AS h FROM {source} WHERE {complete}"
        )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE repeated AS "
        "SELECT h FROM hashes GROUP BY h HAVING count(*) > 1"
    )
    count = int(connection.execute("SELECT count(*) FROM hashes").fetchall()[0][0])
    connection.execute("DROP TABLE hashes")
    if not connection.execute("SELECT count(*) FROM repeated").fetchall()[0][0]:
        return RowKey(level, tuple(columns), count, 0, ())
    with registered_keys(connection, rows, keys) as source:
        found = connection.execute(
            f"SELECT count(*), min(key, {SHOWN}) FROM ("
            f"SELECT concat_ws('/', {listed}) AS key FROM {source} "
            f"WHERE {complete} AND hash({listed}) IN (SELECT h FROM repeated) "
            f"GROUP BY {listed} HAVING count(*) > 1)"
        ).fetchall()
    [(repeated, examples)] = found
    return RowKey(level, tuple(columns), count, int(repeated), tuple(examples or ()))


def cover(
    connection: duckdb.DuckDBPyConnection, images: Rows, columns: Mapping[str, str]
) -> Coverage:
    """Compare the images that `count_keys` noted with those that there are.

    Parameters
    ----------
    columns
        ``dataset_id`` and ``image_id`` -> column of the images.
    """
    with registered_keys(connection, images, columns) as source:
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE images AS "
            f"SELECT DISTINCT {_PAIR} FROM {source} WHERE {_THERE}"
        )
    rows = "SELECT coalesce(sum(row_count), 0) FROM named_images n"
    found = connection.execute(
        f"SELECT ({rows}), ({rows} SEMI JOIN images i ON {_SAME}), "
        "(SELECT count(*) FROM images), "
        f"(SELECT count(*) FROM images i SEMI JOIN named_images n ON {_SAME})"
    ).fetchall()[0]
    total, with_image, all_images, with_rows = map(int, found)
    return Coverage(
        source=images.name,
        rows=total,
        rows_with_image=with_image,
        images=all_images,
        images_with_rows=with_rows,
        rows_without_image_examples=_lost(connection, "named_images n", "images i"),
        images_without_rows_examples=_lost(connection, "images i", "named_images n"),
    )


def _lost(connection: duckdb.DuckDBPyConnection, these: str, those: str) -> tuple[str, ...]:
    found = connection.execute(
        f"SELECT min(concat_ws('/', {_PAIR}), {SHOWN}) FROM {these} ANTI JOIN {those} ON {_SAME} "
        f"WHERE {_THERE}"
    ).fetchall()
    return tuple(found[0][0] or ())
