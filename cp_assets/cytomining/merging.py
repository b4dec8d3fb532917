"""What a table of a root becomes when rows are written into it: its files and its entry."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import pyarrow.parquet as pq

from cp_assets.cytomining.manifest import PartNote, TableEntry
from cp_assets.cytomining.names import TableName
from cp_assets.cytomining.parts import (
    Part,
    PartWriter,
    footer,
    parquet_batches,
    plain_schema,
    united_schema,
)
from cp_assets.errors import WarehouseRootError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import pyarrow as pa

    from cp_assets.cytomining.roles import Declaration
    from cp_assets.warehouse.spec import TableSpec

Mode = Literal["append", "replace"]


@dataclass(frozen=True)
class Rows:
    """Rows for one table of a root.

    Attributes
    ----------
    schema
        All columns that the rows may have.
    scope
        What the rows are of, such as a plate: rows of the same scope that are there are replaced.
    spec
        How the files are stored.
    source_type, source_ref
        Where the rows come from.
    """

    declaration: Declaration
    schema: pa.Schema
    scope: str
    batches: Iterable[pa.RecordBatch]
    spec: TableSpec
    source_type: str
    source_ref: str


@dataclass(frozen=True)
class WritePlan:
    """How a write goes about it.

    Attributes
    ----------
    staging
        Folder of this write, in the root.
    migration
        Why a table may come to mean something else; None where none may.
    """

    root: Path
    staging: Path
    write_id: str
    mode: Mode
    producer: str
    migration: str | None = None

    def stem(self, scope: str) -> str:
        """What names of files of a scope begin with."""
        return f"{_scope_mark(scope)}{self.write_id}"


@dataclass
class StagedTable:
    """Rows of one table that wait to be published."""

    declaration: Declaration
    schema: pa.Schema
    spec: TableSpec
    source_type: str
    source_ref: str
    scopes: set[str] = field(default_factory=set)
    parts: dict[str, tuple[Part, PartNote]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(part.rows for part, _ in self.parts.values())


@dataclass(frozen=True)
class Merged:
    """A table as it will be.

    Attributes
    ----------
    new
        Files to move into the table's folder, under the names that they have.
    obsolete
        Files to remove from it, relative to it.
    """

    entry: TableEntry
    new: tuple[Path, ...]
    obsolete: tuple[str, ...]


def existing_files(root: Path, entry: TableEntry | None) -> dict[str, PartNote]:
    """A table's files, relative to its folder, with what the manifest or their footers say.

    Raises
    ------
    WarehouseRootError
        If a name leads out of the folder.
    """
    if entry is None:
        return {}
    folder = TableName.parse(entry.table_name).folder(root)
    if entry.files is None:
        found = sorted(folder.rglob("*.parquet"))
        return {one.relative_to(folder).as_posix(): PartNote(footer(one)[1]) for one in found}
    for name in entry.files:
        if not is_inside(name):
            msg = f"{entry.table_name}: the manifest's file {name!r} leads out of its folder"
            raise WarehouseRootError(msg)
    return dict(entry.files)


def is_inside(name: str) -> bool:
    """Whether a relative path stays below its folder."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def existing_schema(root: Path, entry: TableEntry | None) -> pa.Schema | None:
    """Columns of the files that a table has; None where it has none."""
    files = list(existing_files(root, entry))
    if entry is None or not files:
        return None
    folder = TableName.parse(entry.table_name).folder(root)
    schema = footer(folder / files[0])[0]
    # Files of ours have the same columns, those of others may not.
    for name in files[1:] if entry.files is None else ():
        schema = united_schema(schema, footer(folder / name)[0], entry.table_name)
    return schema


def begin(plan: WritePlan, rows: Rows, before: TableEntry | None) -> StagedTable:
    """Stage nothing yet: see whether the rows may go into the table.

    Raises
    ------
    WarehouseRootError
        If the table means something else, or a column is missing or of another type.
    """
    check_meaning(plan, rows.declaration, before)
    schema = plain_schema(rows.schema)
    old = before.join_keys if before is not None and plan.mode == "append" else ()
    keys = {*rows.declaration.join_keys, *old}
    missing = sorted(keys.difference(schema.names))
    if missing:
        msg = (
            f"{rows.declaration.name}: the rows of {rows.source_ref} have no column {missing[0]}, "
            "which the table is joined by"
        )
        raise WarehouseRootError(msg)
    there = existing_schema(plan.root, before) if plan.mode == "append" else None
    if there is not None:
        schema = united_schema(there, schema, str(rows.declaration.name))
    return StagedTable(rows.declaration, schema, rows.spec, rows.source_type, rows.source_ref)


def stage(plan: WritePlan, table: StagedTable, rows: Rows) -> int:
    """Write the rows of a scope beside the table; returns how many there were."""
    name = str(table.declaration.name)
    table.schema = united_schema(table.schema, plain_schema(rows.schema), name)
    writer = PartWriter(plan.staging / name, plan.stem(rows.scope), table.schema, rows.spec)
    parts = writer.write(rows.batches)
    table.scopes.add(rows.scope)
    for part in parts:
        note = PartNote(part.rows, rows.scope, rows.source_ref)
        table.parts[part.path.name] = (part, note)
    return sum(part.rows for part in parts)


def merge(plan: WritePlan, table: StagedTable, before: TableEntry | None) -> Merged | None:
    """What the table becomes; None where it was not there and has no rows.

    Files whose columns differ from what the table's become are written again: that holds the root's
    lock, and happens only where a table gets columns that it did not have.

    Raises
    ------
    WarehouseRootError
        As `begin`.
    """
    check_meaning(plan, table.declaration, before)
    if before is None and not table.parts:
        return None
    there = existing_files(plan.root, before)
    kept = {
        name: note
        for name, note in there.items()
        if plan.mode == "append" and not _is_of(name, note, table.scopes)
    }
    known = existing_schema(plan.root, before) if kept else None
    schema = table.schema
    if known is not None:
        schema = united_schema(known, schema, str(table.declaration.name))
    new = _in_schema(plan, table, schema)
    if known != schema or (before is not None and before.files is None):
        poorer = _poorer(table.declaration.name.folder(plan.root), kept, schema)
        new |= _widened(plan, table, schema, poorer)
        kept = {name: note for name, note in kept.items() if name not in poorer}
    if not new and not kept:
        new = _empty(plan, table, schema)
    notes = kept | {part.path.name: note for part, note in new.values()}
    return Merged(
        _entry(plan, table, before, schema, notes),
        tuple(part.path for part, _ in new.values()),
        tuple(name for name in there if name not in kept),
    )


def check_meaning(plan: WritePlan, declared: Declaration, before: TableEntry | None) -> None:
    """Refuse to make a table mean something else without a word.

    Raises
    ------
    WarehouseRootError
        If role, level, compartment, grain or join keys are declared otherwise in the root.
    """
    if before is None or (plan.mode == "replace" and plan.migration):
        return
    for what, new in declared.meaning().items():
        old = getattr(before, what)
        if old and new and old != new:
            advice = (
                "export to another name, or replace the table and say why with --migration"
                if plan.mode == "append"
                else "say why with --migration, or export to another name"
            )
            msg = f"{declared.name}: {what} is {_told(old)} in the root, not {_told(new)}; {advice}"
            raise WarehouseRootError(msg)


def _told(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _scope_mark(scope: str) -> str:
    """Beginning of the names of a scope's files: a manifest that lost its notes tells by it."""
    return f"part-{hashlib.blake2s(scope.encode(), digest_size=8).hexdigest()}-"


def _is_of(name: str, note: PartNote, scopes: set[str]) -> bool:
    if note.scope is not None:
        return note.scope in scopes
    return any(name.startswith(_scope_mark(scope)) for scope in scopes)


_Parts = dict[str, tuple[Part, PartNote]]


def _in_schema(plan: WritePlan, table: StagedTable, schema: pa.Schema) -> _Parts:
    """The staged files, those with fewer columns written again."""
    done: _Parts = {}
    for number, (name, (part, note)) in enumerate(table.parts.items()):
        if footer(part.path)[0] == schema:
            done[name] = (part, note)
        else:
            done |= _rewritten(plan, table, schema, (part.path, note), f"s{number}")
            part.path.unlink()
    return done


def _poorer(folder: Path, kept: Mapping[str, PartNote], schema: pa.Schema) -> dict[str, PartNote]:
    """Files that do not have just these columns."""
    return {name: note for name, note in kept.items() if footer(folder / name)[0] != schema}


def _widened(
    plan: WritePlan, table: StagedTable, schema: pa.Schema, kept: Mapping[str, PartNote]
) -> _Parts:
    """Files that are there, with the columns that are new."""
    folder = table.declaration.name.folder(plan.root)
    done: _Parts = {}
    for number, (name, note) in enumerate(kept.items()):
        done |= _rewritten(plan, table, schema, (folder / name, note), f"w{number}")
    return done


def _rewritten(
    plan: WritePlan,
    table: StagedTable,
    schema: pa.Schema,
    source: tuple[Path, PartNote],
    mark: str,
) -> _Parts:
    path, note = source
    stem = f"{plan.stem(note.scope or '')}-{mark}"
    writer = PartWriter(plan.staging / str(table.declaration.name), stem, schema, table.spec)
    with pq.ParquetFile(path) as parquet:
        parts = writer.write(parquet_batches(parquet))
    return {part.path.name: (part, replace(note, row_count=part.rows)) for part in parts}


def _empty(plan: WritePlan, table: StagedTable, schema: pa.Schema) -> _Parts:
    """A file without rows: the table is there, and has none."""
    stem = plan.stem("")
    writer = PartWriter(plan.staging / str(table.declaration.name), stem, schema, table.spec)
    return {part.path.name: (part, PartNote(0)) for part in writer.write_empty()}


def _entry(
    plan: WritePlan,
    table: StagedTable,
    before: TableEntry | None,
    schema: pa.Schema,
    notes: Mapping[str, PartNote],
) -> TableEntry:
    declared = TableEntry.declared(table.declaration)
    entry = before if before is not None and plan.mode == "append" else declared
    return replace(
        entry,
        columns=tuple(schema.names),
        row_count=sum(note.row_count for note in notes.values()),
        source_type=table.source_type,
        source_ref=table.source_ref,
        producer=plan.producer,
        files=dict(notes),
        migrations=_migrations(plan, table.declaration, before),
    )


def _migrations(
    plan: WritePlan, declared: Declaration, before: TableEntry | None
) -> tuple[Mapping[str, Any], ...]:
    """The documented changes of a table's meaning, with this one if it is one."""
    if before is None:
        return ()
    changed = {
        what: {"from": getattr(before, what), "to": new}
        for what, new in declared.meaning().items()
        if getattr(before, what) != new
    }
    if plan.mode == "append" or not plan.migration or not changed:
        return before.migrations
    return (*before.migrations, {"reason": plan.migration, "changed": changed})
