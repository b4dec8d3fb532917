"""Checks of a table by itself: contract, keys, types."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import pandera.pandas as pa
from pyarrow import DataType, Field, RecordBatch

from cp_assets.checks.outcome import Outcome, PlateTables, TableCheck, outcome_of
from cp_assets.checks.schemas import declared_schema, faults_of
from cp_assets.contract.counting import find_repeated
from cp_assets.contract.names import RECOMMENDED, REQUIRED
from cp_assets.contract.validation import count_contract, lines_of_nulls, validate_columns
from cp_assets.datasets.in_carta_names import is_in_carta
from cp_assets.measurements.columns import ARROW_TYPES, ColumnKind, column_kind
from cp_assets.measurements.in_carta_header import InCartaHeader
from cp_assets.measurements.joined_columns import JOINED_PROFILES, raw_columns_of
from cp_assets.measurements.raw import RAW_MEASUREMENTS
from cp_assets.warehouse.rows import PartitionRows
from cp_assets.warehouse.spec import TableSpec

_ROWS_AT_ONCE = 65_536
_SHOWN = 5


@dataclass(frozen=True)
class PlateRows:
    """A plate's rows, as the contract reads them."""

    rows: PartitionRows

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.rows.name

    @cached_property
    def columns(self) -> list[str]:
        """Columns that any of the plate's files has."""
        return self.rows.columns()

    def batches(self, columns: Sequence[str]) -> Iterator[RecordBatch]:
        """Some columns of the rows, some ten thousand at once."""
        return self.rows.batches(columns, batch_rows=_ROWS_AT_ONCE)


def _hold(names: tuple[str, ...], tables: PlateTables, spec: TableSpec) -> Outcome:
    """Hold some names of the join contract against every row."""
    rows = PlateRows(tables.rows(spec.name))
    found = validate_columns(rows.columns, rows.name).resolved_columns
    counts = count_contract(tables.duckdb, rows)
    nulls = lines_of_nulls(counts, found)
    faults = [f"{name} is missing" for name in names if found[name] is None]
    faults += [nulls[name] for name in names if name in nulls]
    columns = [found[name] or name for name in names]
    held = f"{', '.join(columns)} present and without null in {counts.rows} rows"
    return outcome_of(faults, held, {"rows": counts.rows})


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
    found = find_repeated(tables.duckdb, PlateRows(tables.rows(spec.name)), "row", keys)
    told = f"{found.repeated} keys occur more than once: {', '.join(found.examples)}"
    held = f"{' + '.join(keys)} unique in {found.rows} rows"
    figures = {"rows": found.rows, "repeated keys": found.repeated}
    return outcome_of([told] if found.repeated else [], held, figures)


JOIN_CONTRACT = TableCheck(
    "join_contract",
    f"{' and '.join(REQUIRED)} (or a known alias) are there and never null",
    partial(_hold, REQUIRED),
)
RECOMMENDED_COLUMNS = TableCheck(
    "recommended_columns",
    f"{', '.join(RECOMMENDED)} (or a known alias) are there and not null",
    partial(_hold, RECOMMENDED),
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
