"""Writing into a root: tables are staged beside it, then published together, the manifest last.

Files are written into a hidden folder of the root and renamed into their tables' folders. To
replace the manifest, by one rename, is what makes them the root's; files of before go after it. A
crash before leaves files that the old manifest does not name, a crash after it files that the new
one does not: the next write removes both, by the journal of the write that died. Readers that go by
the manifest see the old root or the new one; those that list folders may see both for a moment.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cp_assets.cytomining.locking import held, is_held, locked
from cp_assets.cytomining.manifest import MANIFEST_NAME, Manifest, TableEntry, read_manifest
from cp_assets.cytomining.merging import Merged, Mode, Rows, StagedTable, WritePlan, begin, merge
from cp_assets.cytomining.merging import stage as stage_rows
from cp_assets.cytomining.names import TableName
from cp_assets.cytomining.roles import OWN_ROLES
from cp_assets.errors import WarehouseRootError
from cp_assets.provenance.permalinks import code_permalink

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

HIDDEN = ".cp_assets"
"""Folder of a root for what is not published yet; readers pass over hidden names."""

_LOCK = "lock"
_JOURNAL = "journal.json"


@dataclass(frozen=True)
class Exported:
    """What an export did.

    Attributes
    ----------
    row_counts
        Table of the root -> rows that were written into it.
    left_out
        Tables of the warehouse that nobody asked for by name and that are not ours.
    warnings
        What the user should know of it, a line each.
    """

    warehouse_root: str
    manifest_path: str
    row_counts: Mapping[str, int]
    left_out: Sequence[str] = ()
    warnings: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, under the peer's names."""
        return {
            "warehouse_root": self.warehouse_root,
            "manifest_path": self.manifest_path,
            "tables_written": sorted(self.row_counts),
            "row_counts": dict(self.row_counts),
            "left_out": list(self.left_out),
            "warnings": list(self.warnings),
        }


@dataclass
class RootWrite:
    """One write into a root, see `writing`."""

    plan: WritePlan
    _staged: dict[str, StagedTable] = field(default_factory=dict)

    def add(self, rows: Rows) -> int:
        """Stage the rows of one scope of a table; returns how many there were.

        Raises
        ------
        WarehouseRootError
            If the table means something else in the root, lacks a column that it is joined by, or
            has a column of another type there.
        """
        name = str(rows.declaration.name)
        rows.declaration.name.folder(self.plan.root)
        if name not in self._staged:
            manifest = read_manifest(self.plan.root)
            before = manifest.table(name) if manifest else None
            self._staged[name] = begin(self.plan, rows, before)
        if rows.scope in self._staged[name].scopes:
            msg = f"{name}: {rows.source_ref} is {rows.scope} too; name each of them once"
            raise WarehouseRootError(msg)
        return stage_rows(self.plan, self._staged[name], rows)

    def commit(self, left_out: Sequence[str] = ()) -> Exported:
        """Publish what was staged.

        Raises
        ------
        WarehouseRootError
            If another write has meanwhile changed what a table means.
        """
        plan = self.plan
        with locked(plan.root / HIDDEN / _LOCK):
            _settle_dead_writes(plan.root)
            before = read_manifest(plan.root) or Manifest(str(plan.root))
            found = [merge(plan, one, before.table(name)) for name, one in self._staged.items()]
            merged = [one for one in found if one is not None]
            after = before.with_tables(one.entry for one in merged)
            after = replace(after, warehouse_root=str(plan.root), roles=_roles(after))
            _publish(plan, merged, after)
        written = {one.entry.table_name for one in merged}
        counts = {name: one.rows for name, one in self._staged.items() if name in written}
        return Exported(str(plan.root), str(plan.root / MANIFEST_NAME), counts, left_out)


@contextmanager
def writing(root: Path, mode: Mode = "append", migration: str | None = None) -> Iterator[RootWrite]:
    """Begin a write into a root, which is made if there is none; nothing is published by itself.

    Parameters
    ----------
    mode
        ``append`` keeps the tables' other rows, ``replace`` does not; tables that are not written
        stay in both.
    migration
        Why a replaced table comes to mean something else.

    Raises
    ------
    WarehouseRootError
        If the root's manifest cannot be understood, or the folder is something else.
    """
    _check_root(root)
    hidden = root / HIDDEN
    hidden.mkdir(parents=True, exist_ok=True)
    write_id = f"{time.time_ns():x}-{uuid.uuid4().hex[:8]}"
    plan = WritePlan(
        root, hidden / write_id, write_id, mode, f"cp_assets ({code_permalink()})", migration
    )
    with ExitStack() as alive:
        with locked(hidden / _LOCK):
            # Under the lock: a folder whose own lock nobody holds is that of a dead write.
            plan.staging.mkdir()
            alive.enter_context(held(plan.staging / _LOCK))
        try:
            yield RootWrite(plan)
        finally:
            shutil.rmtree(plan.staging, ignore_errors=True)


def _check_root(root: Path) -> None:
    if root.exists() and not root.is_dir():
        msg = f"{root}: is a file; a warehouse root is a folder"
        raise WarehouseRootError(msg)
    # Beside a first write that is being published there are tables and no manifest yet.
    is_ours = read_manifest(root) is not None or (root / HIDDEN).is_dir()
    if not is_ours and root.is_dir() and any(root.iterdir()):
        msg = (
            f"{root}: is a folder of other things, without {MANIFEST_NAME}; name an empty or new "
            "folder, or a warehouse root"
        )
        raise WarehouseRootError(msg)


def _roles(manifest: Manifest) -> dict[str, str]:
    """Roles beyond the specification's that the manifest must say the meaning of."""
    used = {one.role for one in manifest.tables}
    own = {role: text for role, text in OWN_ROLES.items() if role in used}
    return {**own, **manifest.roles}


def _publish(plan: WritePlan, merged: Sequence[Merged], after: Manifest) -> None:
    _write_journal(plan, merged)
    try:
        for one in merged:
            folder = TableName.parse(one.entry.table_name).folder(plan.root)
            folder.mkdir(parents=True, exist_ok=True)
            for path in one.new:
                path.rename(folder / path.name)
        _replace_manifest(plan, after)
    finally:
        # Of a write that failed this removes the new files, else the old ones.
        _settle(plan.root, plan.staging)


def _replace_manifest(plan: WritePlan, manifest: Manifest) -> None:
    staged = plan.staging / MANIFEST_NAME
    with staged.open("w", encoding="utf-8") as stream:
        stream.write(manifest.to_json())
        stream.flush()
        os.fsync(stream.fileno())
    staged.replace(plan.root / MANIFEST_NAME)


def _write_journal(plan: WritePlan, merged: Sequence[Merged]) -> None:
    journal = {
        "before": _manifest_digest(plan.root),
        "new": {one.entry.table_name: [path.name for path in one.new] for one in merged},
        "old": {one.entry.table_name: list(one.obsolete) for one in merged},
    }
    staged = plan.staging / f"{_JOURNAL}.part"
    staged.write_text(json.dumps(journal), encoding="utf-8")
    staged.replace(plan.staging / _JOURNAL)


def _settle_dead_writes(root: Path) -> None:
    """Remove what writes left behind that died; the caller holds the root's lock."""
    for folder in sorted((root / HIDDEN).iterdir()):
        if folder.is_dir() and not is_held(folder / _LOCK):
            _settle(root, folder)
            shutil.rmtree(folder, ignore_errors=True)


def _settle(root: Path, staging: Path) -> None:
    """Remove files of a write that the root's manifest does not name: new ones or old ones."""
    try:
        journal = json.loads((staging / _JOURNAL).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    is_before = _manifest_digest(root) == journal["before"]
    manifest = read_manifest(root) or Manifest(str(root))
    kinds = ("new",) if is_before else ("new", "old")
    for name, files in (one for kind in kinds for one in journal[kind].items()):
        entry = manifest.table(name)
        folder = TableName.parse(name).folder(root)
        for file in files:
            if is_before or _is_unnamed(entry, file):
                (folder / file).unlink(missing_ok=True)
        if entry is None:
            _remove_empty(folder, root)


def _is_unnamed(entry: TableEntry | None, file: str) -> bool:
    """Whether the manifest tells the table's files and this is none of them."""
    return entry is not None and entry.files is not None and file not in entry.files


def _remove_empty(folder: Path, root: Path) -> None:
    for one in (folder, folder.parent):
        if one != root and one.is_dir() and not any(one.iterdir()):
            one.rmdir()


def _manifest_digest(root: Path) -> str | None:
    try:
        return hashlib.sha256((root / MANIFEST_NAME).read_bytes()).hexdigest()
    except FileNotFoundError:
        return None
