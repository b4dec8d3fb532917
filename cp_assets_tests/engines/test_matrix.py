"""What each engine reads of a warehouse: one matrix, which may change in neither direction."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cp_assets_tests.engines.asking import Engine, EngineError
from cp_assets_tests.engines.comparing import assert_same
from cp_assets_tests.engines.conftest import PLATES, TAG, Served
from cp_assets_tests.warehouse.moved_files import hidden, path_of

COLUMNS = ("rows", "values", "nested pixels", "pruning", "time travel", "tag")
YES = "yes"

CANNOT = {
    ("DuckDB", "tag"): 'syntax error at or near "AT"',
    # Its filters do not reach iceberg-rust: it opens the files of every plate.
    ("DataFusion", "pruning"): "No such file or directory",
    ("DataFusion", "time travel"): "unexpected keyword argument 'snapshot'",
    ("DataFusion", "tag"): "unexpected keyword argument 'tag'",
}
"""Engine, column -> part of what the engine says; it can do all else."""

ENGINES = ("PyIceberg", "DuckDB", "Polars", "Daft", "DataFusion", "Spark")


@pytest.mark.slow
def test_every_table_is_read_alike_by_every_engine(
    served: Served, engine: Callable[[str], Engine], capsys: pytest.CaptureFixture[str]
) -> None:
    found = {
        (name, column): _tried(column, served, engine(name))
        for name in ENGINES
        for column in COLUMNS
    }
    with capsys.disabled():
        sys.stdout.write(_shown(found))
    assert {cell for cell, said in found.items() if said != YES} == set(CANNOT)
    for cell, part in CANNOT.items():
        assert part in found[cell], cell


def _shown(found: dict[tuple[str, str], str]) -> str:
    lines = ["", "".join(f"{title:<15}" for title in ("engine", *COLUMNS))]
    for name in ENGINES:
        cells = (YES if found[name, column] == YES else "no" for column in COLUMNS)
        lines.append("".join(f"{cell:<15}" for cell in (name, *cells)))
    for (name, column), said in found.items():
        if said != YES:
            lines.append(f"{name}, {column}: {said[:300]}")
    return "\n".join([*lines, ""])


def _tried(column: str, served: Served, engine: Engine) -> str:
    """What came of a column of the matrix: `YES`, or the engine's own words."""
    try:
        for name in served.tables:
            CHECKS[column](served, engine, name)
    except EngineError as error:
        return " ".join(str(error).split())
    except AssertionError as error:
        return f"differs: {error}"
    return YES


def _rows(served: Served, engine: Engine, name: str) -> None:
    found = _asked(served, engine, name)
    assert found.num_rows == _truth(served, name).num_rows, name


def _values(served: Served, engine: Engine, name: str) -> None:
    found, expected = _asked(served, engine, name), _truth(served, name)
    assert_same(found, expected, _flat(expected))


def _pixels(served: Served, engine: Engine, name: str) -> None:
    expected = _truth(served, name)
    nested = [column for column in expected.column_names if column not in _flat(expected)]
    if nested:
        found = _asked(served, engine, name)
        assert_same(found, expected, nested)


def _pruning(served: Served, engine: Engine, name: str) -> None:
    table = served.tables[name]
    plate = PLATES[1]
    others = [
        path_of(row["file_path"])
        for row in table.inspect.files().to_pylist()
        if row["partition"]["plate_id"] != plate
    ]
    expected = _truth(served, name)
    expected = expected.filter(pa.compute.equal(expected["plate_id"], plate))
    with hidden(others):
        found = _asked(served, engine, name, plate=plate)
    assert_same(found, expected, _flat(expected))


def _time_travel(served: Served, engine: Engine, name: str) -> None:
    snapshots = served.tables[name].metadata.snapshots
    if len(snapshots) > 1:
        first = snapshots[0].snapshot_id
        found = _asked(served, engine, name, snapshot=first)
        expected = _truth(served, name, first)
        assert 0 < expected.num_rows < _truth(served, name).num_rows
        assert_same(found, expected, _flat(expected))


def _tag(served: Served, engine: Engine, name: str) -> None:
    tagged = served.tables[name].snapshot_by_name(TAG)
    if tagged is not None:
        found = _asked(served, engine, name, tag=TAG)
        expected = _truth(served, name, tagged.snapshot_id)
        assert_same(found, expected, _flat(expected))


CHECKS: dict[str, Callable[[Served, Engine, str], None]] = dict(
    zip(COLUMNS, (_rows, _values, _pixels, _pruning, _time_travel, _tag), strict=True)
)


@lru_cache(maxsize=16)
def _asked(served: Served, engine: Engine, name: str, **how: Any) -> pa.Table:
    return engine.read(table=name, tables={name: served.places[name]}, **how)


@lru_cache
def _truth(served: Served, name: str, snapshot: int | None = None) -> pa.Table:
    """The rows as they lie in the data files of a snapshot, read by pyarrow alone."""
    table = served.tables[name]
    schema = table.schema().as_arrow()
    if table.current_snapshot() is None:
        return schema.empty_table()
    files = table.inspect.files(snapshot)["file_path"].to_pylist()
    parts = [pq.read_table(path_of(file), partitioning=None) for file in files]
    rows = pa.concat_tables(parts, promote_options="default")
    missing = [field for field in schema if field.name not in rows.column_names]
    for field in missing:
        rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows.select(schema.names)


def _flat(rows: pa.Table) -> list[str]:
    return [field.name for field in rows.schema if not pa.types.is_struct(field.type)]
