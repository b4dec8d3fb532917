"""Tables of the user's own in a root: profiles, embeddings, quality control, of any origin."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.contract.names import CONTRACT, REQUIRED, Aliases, row_key
from cp_assets.contract.profile_tables import open_table, with_keys
from cp_assets.cytomining.merging import Mode, Rows
from cp_assets.cytomining.names import TableName
from cp_assets.cytomining.parts import plain_schema
from cp_assets.cytomining.roles import PROFILE_ROLES, Declaration, of_quality_control
from cp_assets.cytomining.root import Exported, writing
from cp_assets.errors import WarehouseRootError
from cp_assets.warehouse.spec import TableSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cp_assets.contract.profile_tables import ProfileTable

QUALITY_CONTROL = "quality_control"

_FLAG = re.compile(r"(?:^|\.)is_outlier$|^outlier_")
"""Columns of coSMicQC that say whether an object is one to leave out; as CSV they are text."""


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """What the user says of a table.

    Attributes
    ----------
    table_name
        ``namespace.table``; the namespace may be left out where the role has only one.
    join_keys
        Columns that it is joined by; of the join contract's required ones those that it has.
    profile_level
        Of a profile table; by default as its columns of ids tell: ``object`` or ``image``.
    dataset_id
        Of all rows, for a table without such a column.
    aliases
        Which columns serve as keys of the join contract.
    """

    table_name: str
    role: str = "profiles"
    join_keys: Sequence[str] = ()
    profile_level: str | None = None
    compartment: str | None = None
    grain: str | None = None
    dataset_id: str | None = None
    aliases: Aliases = field(default_factory=Aliases)


def export_table(
    source: str | Path,
    root: str | Path,
    options: TableOptions,
    *,
    mode: Mode = "append",
    migration: str | None = None,
) -> Exported:
    """Write a table of the user's into a warehouse root, as a stream.

    Keys of the join contract that the table has under other names are added under the contract's,
    as text; all columns of the table stay as they are.

    Parameters
    ----------
    source
        Parquet, a folder of Parquet files, or CSV.
    mode
        ``append``: rows that came from the same source are replaced, others stay. ``replace``: the
        table has these rows and no others afterwards.
    migration
        Why a replaced table may come to mean something else than the root's.

    Raises
    ------
    ConfigurationError, MeasurementError
        If there is no such table, or it cannot be read.
    WarehouseRootError
        If its name or role cannot be used, or the root's table means something else.
    """
    name = TableName.of_role(options.table_name, options.role)
    _check_role(name, options.role)
    table = KeyedTable.of(open_table(source), options)
    declaration = _declared(name, table, options)
    where = str(source) if "://" in str(source) else str(Path(source).resolve())
    with writing(Path(root), mode, migration) as write:
        write.add(
            Rows(
                declaration,
                table.schema,
                scope=f"source:{where}",
                batches=table.batches(),
                spec=TableSpec(str(name), "", table.schema),
                source_type="table",
                source_ref=where,
            )
        )
        return replace(write.commit(), warnings=_warnings(declaration, table))


def _check_role(name: TableName, role: str) -> None:
    """Refuse a role that belongs elsewhere.

    Raises
    ------
    WarehouseRootError
        If namespace and role contradict each other.
    """
    is_elsewhere = role in PROFILE_ROLES and name.namespace != "profiles"
    if is_elsewhere or (role == QUALITY_CONTROL) != (name.namespace == QUALITY_CONTROL):
        msg = (
            f"{name}: role {role} does not belong there; quality control has the role and the "
            "namespace quality_control, profiles have the namespace profiles"
        )
        raise WarehouseRootError(msg)


@dataclass(frozen=True)
class KeyedTable:
    """A table with the join contract's keys under their own names.

    Attributes
    ----------
    added
        Key -> column that serves as it, or None where it is the given dataset.
    flags
        Columns of text that are booleans.
    """

    table: ProfileTable
    schema: pa.Schema
    added: dict[str, str | None]
    flags: frozenset[str]
    dataset_id: str | None
    resolved: dict[str, str]

    @classmethod
    def of(cls, table: ProfileTable, options: TableOptions) -> KeyedTable:
        """Look at a table's columns; reads no rows but those that tell a CSV's types."""
        table = with_keys(table, {*options.aliases.columns, *options.join_keys})
        columns = plain_schema(table.schema)
        resolved = options.aliases.resolve(columns.names)
        added: dict[str, str | None] = {
            key: resolved[key] for key in CONTRACT if key in resolved and key not in columns.names
        }
        if options.dataset_id is not None and "dataset_id" not in resolved:
            added["dataset_id"] = None
        is_quality = options.role == QUALITY_CONTROL
        flags = frozenset(
            one.name
            for one in columns
            if is_quality and pa.types.is_string(one.type) and _FLAG.search(one.name)
        )
        known = [pa.field(one.name, _kind(one, flags)) for one in columns]
        schema = pa.schema([*known, *(pa.field(key, pa.string()) for key in added)])
        found = {**resolved, **{key: key for key in added}}
        return cls(table, schema, added, flags, options.dataset_id, found)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, in bounded batches."""
        for batch in self.table.whole_batches():
            arrays = [
                self._column(batch, one.name, number) for number, one in enumerate(self.schema)
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _column(self, batch: pa.RecordBatch, name: str, number: int) -> pa.Array:
        if name in self.added:
            source = self.added[name]
            if source is None:
                return pa.repeat(pa.scalar(self.dataset_id, pa.string()), batch.num_rows)
            return batch.column(batch.schema.get_field_index(source)).cast(pa.string())
        array = batch.column(number)
        kind = self.schema.field(number).type
        if array.type == kind:
            return array
        try:
            return array.cast(kind)
        except pa.ArrowInvalid as error:
            msg = f"{self.table.name}: column {name} is not true or false everywhere ({error})"
            raise WarehouseRootError(msg) from error


def _kind(column: pa.Field, flags: frozenset[str]) -> pa.DataType:
    if column.name in flags:
        return pa.bool_()
    # A column without any value has no type of its own yet.
    return pa.string() if pa.types.is_null(column.type) else column.type


def _declared(name: TableName, table: KeyedTable, options: TableOptions) -> Declaration:
    columns = table.schema.names
    keys = tuple(options.join_keys) or tuple(key for key in REQUIRED if key in columns)
    if options.role == QUALITY_CONTROL:
        declared = of_quality_control(name, columns)
        return replace(declared, join_keys=tuple(options.join_keys) or declared.join_keys)
    found = row_key(table.resolved, columns)
    level, named = found if found is not None else (None, ())
    is_profile = options.role in PROFILE_ROLES
    return Declaration(
        name,
        options.role,
        keys,
        grain=options.grain,
        profile_level=options.profile_level or (level if is_profile else None),
        compartment=options.compartment,
        object_keys=named if level == "object" else (),
    )


def _warnings(declared: Declaration, table: KeyedTable) -> tuple[str, ...]:
    """What the specification will find wanting, by the columns alone."""
    if declared.role not in PROFILE_ROLES:
        return ()
    lacking = [] if "image_id" in table.resolved else ["image ids, such as Metadata_ImageID"]
    if declared.profile_level != "image" and not declared.object_keys:
        lacking.append("object ids, such as Metadata_ObjectID")
    return tuple(
        f"{declared.name} has no column of {one}: the specification asks every profile table for it"
        for one in lacking
    )
