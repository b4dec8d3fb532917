"""Checks of a table by itself: contract, keys, types."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import pandera.pandas as pa
from pyarrow import DataType, Field

from cp_assets.checks.contract import RECOMMENDED, REQUIRED, resolve_columns
from cp_assets.checks.outcome import Outcome, PlateTables, TableCheck, outcome_of
from cp_assets.checks.schemas import declared_schema, faults_of, recommended_schema, required_schema
from cp_assets.datasets.in_carta_names import is_in_carta
from cp_assets.measurements.columns import ARROW_TYPES, ColumnKind, column_kind
from cp_assets.measurements.in_carta_header import InCartaHeader
from cp_assets.measurements.joined_columns import JOINED_PROFILES, raw_columns_of
from cp_assets.measurements.raw import RAW_MEASUREMENTS
from cp_assets.warehouse.spec import TableSpec

_ROWS_AT_ONCE = 65_536
_SHOWN = 5


def _hold(
    schema_of: Callable[[list[str]], pa.DataFrameSchema],
    names: tuple[str, ...],
    tables: PlateTables,
    spec: TableSpec,
) -> Outcome:
    """Hold the join contract against every row; faults of all batches are counted together."""
    rows = tables.rows(spec.name)
    columns = rows.columns()
    schema = schema_of(columns)
    wanted = [resolve_columns(columns).get(name, name) for name in names]
    return _validate(schema, wanted, tables, spec)


def _validate(
    schema: pa.DataFrameSchema, columns: list[str], tables: PlateTables, spec: TableSpec
) -> Outcome:
    count = 0
    faults: Counter[str] = Counter()
    for batch in tables.rows(spec.name).batches(columns, batch_rows=_ROWS_AT_ONCE):
        frame = batch.to_pandas()
        count += len(frame)
        faults.update(faults_of(schema, frame))
    held = f"{', '.join(columns)} present and without null in {count} rows"
    return outcome_of(list(faults), held, {"rows": count})


def _declared(tables: PlateTables, spec: TableSpec) -> Outcome:
    """Hold the columns' types, declared or by the rule by name, and nulls of required ones."""
    wrong: list[str] = []
    overrides = tables.sources.dataset.column_types
    schemas = tables.rows(spec.name).schemas()
    declared = {field.name: field.type for field in spec.schema}
    for schema in schemas:
        is_raw = spec.name == RAW_MEASUREMENTS.name
        sources = {n: n for n in schema.names} if is_raw else raw_columns_of(schema.names)
        rule = _rule(sources.values(), overrides)
        for field in schema:
            expected = declared.get(field.name)
            if expected is None:
                source = sources.get(field.name, field.name)
                is_annotation = spec.name == JOINED_PROFILES.name and field.name not in sources
                kind = None if is_annotation else rule(source)
                expected = ARROW_TYPES[kind] if kind else _told_type(field, source, overrides)
            if not field.type.equals(expected):
                wrong.append(f"{field.name} is {field.type}, declared {expected}")
    nulls = _validate(declared_schema(spec), list(declared_schema(spec).columns), tables, spec)
    faults = [*wrong[:_SHOWN], *([] if nulls.passed else [nulls.summary])]
    figures = {"data files": len(schemas), "columns": max((len(s) for s in schemas), default=0)}
    return outcome_of(faults, "every column has its declared type", figures)


def _rule(names: Iterable[str], overrides: Mapping[str, str]) -> Callable[[str], ColumnKind | None]:
    """What a measured column of a table with these columns holds; None where its values tell."""
    columns = tuple(dict.fromkeys(names))
    if not is_in_carta(columns):
        return lambda name: column_kind(name, overrides)
    header = InCartaHeader.of(columns, "the table", overrides)
    unknown = frozenset(header.unknown)
    return lambda name: (
        header.kinds.get(name) or (None if name in unknown else column_kind(name, overrides))
    )


def _told_type(field: Field, name: str, overrides: Mapping[str, str]) -> DataType:
    """Of a column whose values tell: text or numbers, whichever they are, or as configured."""
    chosen = overrides.get(name)
    if chosen is not None:
        return ARROW_TYPES[chosen]
    return field.type if field.type.equals(ARROW_TYPES["float"]) else ARROW_TYPES["string"]


def _unique(keys: tuple[str, ...], tables: PlateTables, spec: TableSpec) -> Outcome:
    """Count keys that occur more than once; rows without all key columns are no objects."""
    if not tables.register("keyed", spec.name, keys):
        return Outcome(passed=True, summary="no rows", figures={"rows": 0})
    named = ", ".join(f'"{key}"' for key in keys)
    complete = " AND ".join(f'"{key}" IS NOT NULL' for key in keys)
    found = tables.duckdb.execute(
        f"SELECT sum(n), count(*) FILTER (n > 1), (list(key) FILTER (n > 1))[1:{_SHOWN}] FROM ("
        f"SELECT concat_ws('/', {named}) AS key, count(*) AS n FROM keyed "
        f"WHERE {complete} GROUP BY {named})"
    ).fetchall()
    [(rows, repeated, examples)] = found
    faults = [f"{repeated} keys occur more than once: {', '.join(examples)}"] if repeated else []
    held = f"{' + '.join(keys)} unique in {rows or 0} rows"
    return outcome_of(faults, held, {"rows": int(rows or 0), "repeated keys": repeated})


JOIN_CONTRACT = TableCheck(
    "join_contract",
    f"{' and '.join(REQUIRED)} (or a known alias) are there and never null",
    partial(_hold, required_schema, REQUIRED),
)
RECOMMENDED_COLUMNS = TableCheck(
    "recommended_columns",
    f"{', '.join(RECOMMENDED)} (or a known alias) are there and not null",
    partial(_hold, recommended_schema, RECOMMENDED),
    blocking=False,
)
TYPES_AS_DECLARED = TableCheck(
    "types_as_declared",
    "columns have the types of their declaration or of the rule by name",
    _declared,
)


def keys_unique(*keys: str, blocking: bool = True) -> TableCheck:
    """The check that no two rows have the same key."""
    description = f"{' + '.join(keys)} names one row"
    return TableCheck("keys_unique", description, partial(_unique, keys), blocking=blocking)
