"""``warehouse_manifest.json``: what each table of a root is, read and written.

What others have written into a manifest and we do not know is kept as it is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cp_assets.errors import WarehouseRootError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cp_assets.cytomining.roles import Declaration
    from cp_assets.stores import Place

MANIFEST_NAME = "warehouse_manifest.json"
SPEC_VERSION = "1.0.0"
"""Of the Cytomining Warehouse Specification that roots are written to."""

_MAJOR = 1
_NUMBER = r"(?:0|[1-9]\d{0,17})"
_LABEL = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_SEMANTIC = re.compile(rf"({_NUMBER})\.{_NUMBER}\.{_NUMBER}(?:-{_LABEL})?(?:\+{_LABEL})?")

_TEXTS = ("source_type", "source_ref", "producer", "grain", "profile_level", "compartment")


@dataclass(frozen=True)
class PartNote:
    """What the manifest says of one Parquet file of a table.

    Attributes
    ----------
    scope
        What its rows are of: writing the same scope again replaces them.
    """

    row_count: int
    scope: str | None = None
    source_ref: str | None = None


@dataclass(frozen=True)
class TableEntry:
    """One table as the manifest has it; the peer's fields, and ours.

    Attributes
    ----------
    files
        Name of a Parquet file in the table's folder -> what is said of it; None where the writer
        did not say: then all Parquet files of the folder are the table's.
    migrations
        Documented changes of what the table means.
    other
        Fields that we do not know.
    """

    table_name: str
    role: str
    join_keys: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    format: str = "parquet"
    row_count: int | None = None
    source_type: str | None = None
    source_ref: str | None = None
    producer: str | None = None
    grain: str | None = None
    profile_level: str | None = None
    compartment: str | None = None
    object_keys: tuple[str, ...] = ()
    files: Mapping[str, PartNote] | None = None
    migrations: tuple[Mapping[str, Any], ...] = ()
    other: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def declared(cls, declaration: Declaration) -> TableEntry:
        """What a declaration says, without rows."""
        return cls(
            table_name=str(declaration.name),
            role=declaration.role,
            join_keys=declaration.join_keys,
            grain=declaration.grain,
            profile_level=declaration.profile_level,
            compartment=declaration.compartment,
            object_keys=declaration.object_keys,
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: what is unknown is left out, but for the peer's fields."""
        optional = {name: getattr(self, name) for name in ("producer", *_TEXTS[3:])}
        if self.object_keys:
            optional["object_keys"] = list(self.object_keys)
        if self.files is not None:
            optional["files"] = {name: _note(part) for name, part in sorted(self.files.items())}
        if self.migrations:
            optional["migrations"] = [dict(one) for one in self.migrations]
        return {
            **self.other,
            "table_name": self.table_name,
            "role": self.role,
            "format": self.format,
            "join_keys": list(self.join_keys),
            "columns": list(self.columns),
            "row_count": self.row_count,
            "source_type": self.source_type,
            "source_ref": self.source_ref,
            **{name: value for name, value in optional.items() if value is not None},
        }


@dataclass(frozen=True)
class Manifest:
    """All tables of a root.

    Attributes
    ----------
    roles
        Role beyond the specification's -> what it means.
    other
        Fields that we do not know.
    """

    warehouse_root: str
    warehouse_spec_version: str = SPEC_VERSION
    tables: tuple[TableEntry, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    other: Mapping[str, Any] = field(default_factory=dict)

    def table(self, name: str) -> TableEntry | None:
        """The entry of a table, if there is one."""
        return next((one for one in self.tables if one.table_name == name), None)

    def with_tables(self, entries: Iterable[TableEntry]) -> Manifest:
        """The manifest with these entries in the place of those of the same tables."""
        merged = {one.table_name: one for one in (*self.tables, *entries)}
        return replace(self, tables=tuple(merged[name] for name in sorted(merged)))

    def to_json(self) -> str:
        """As the file has it."""
        content = {
            **self.other,
            "warehouse_root": self.warehouse_root,
            "warehouse_spec_version": self.warehouse_spec_version,
            "tables": [one.to_dict() for one in self.tables],
            **({"roles": dict(sorted(self.roles.items()))} if self.roles else {}),
        }
        return json.dumps(content, indent=2, sort_keys=True) + "\n"


def major_version(version: object) -> int | None:
    """The major number of a semantic version; None for what is none."""
    found = _SEMANTIC.fullmatch(version) if isinstance(version, str) else None
    return int(found[1]) if found else None


def known_version(version: object, where: object) -> None:
    """Refuse a version of the specification whose rules are not known.

    Raises
    ------
    WarehouseRootError
        If it is none, or of another major number than ours.
    """
    major = major_version(version)
    if major is None:
        msg = (
            f"{where}: warehouse_spec_version is {version!r}; expected MAJOR.MINOR.PATCH, such as "
            f"{SPEC_VERSION}"
        )
        raise WarehouseRootError(msg)
    if major != _MAJOR:
        msg = (
            f"{where}: warehouse_spec_version is {version}, and this cp_assets knows {_MAJOR}.x.y; "
            "use the version of cp_assets that wrote it, or another root"
        )
        raise WarehouseRootError(msg)


def load_json(root: Place) -> Any:
    """The manifest's JSON as it is, or None if the root has none.

    Raises
    ------
    WarehouseRootError
        If it is no JSON, or no file.
    """
    file = root / MANIFEST_NAME
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        # Half a character, which JSON can write, is in no name of a file.
        json.dumps(content, ensure_ascii=False).encode()
    except FileNotFoundError:
        return None
    except IsADirectoryError as error:
        msg = f"{file}: is a folder; expected the manifest, a file of JSON"
        raise WarehouseRootError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{file}: is no JSON ({error}); restore it, or export into another folder"
        raise WarehouseRootError(msg) from error
    return content


def read_manifest(root: Place) -> Manifest | None:
    """The manifest of a root, or None if it has none.

    Raises
    ------
    WarehouseRootError
        If it cannot be understood: no JSON, another major version, a field that is missing or of
        another kind, a table that is there twice.
    """
    content = load_json(root)
    if content is None:
        return None
    where = root / MANIFEST_NAME
    try:
        known_version(_Fields(content, "the manifest").content.get("warehouse_spec_version"), where)
        return _manifest(_Fields(content, "the manifest"), str(root))
    except _FieldError as error:
        msg = f"{where}: {error}; mend it, or export into another folder"
        raise WarehouseRootError(msg) from error


class _FieldError(ValueError):
    """A field is not what it should be."""


class _Fields:
    """A JSON object whose fields are taken one by one."""

    def __init__(self, content: object, what: str) -> None:
        if not isinstance(content, dict):
            msg = f"{what} is {type(content).__name__}, expected an object"
            raise _FieldError(msg)
        self.content = content
        self._what = what
        self._rest = dict(content)

    def take(self, name: str, kind: type, default: Any) -> Any:
        """The value of a field, of that kind; null counts as left out."""
        value = self._rest.pop(name, None)
        if value is None:
            return default
        if not isinstance(value, kind) or isinstance(value, bool):
            msg = f"{name} of {self._what} is {value!r}, expected {kind.__name__}"
            raise _FieldError(msg)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A field that is a list of texts."""
        values = self.take(name, list, [])
        if not all(isinstance(value, str) for value in values):
            msg = f"{name} of {self._what} is {values!r}, expected a list of names"
            raise _FieldError(msg)
        return tuple(values)

    def rest(self) -> dict[str, Any]:
        """What was not taken."""
        return self._rest


def _manifest(fields: _Fields, root: str) -> Manifest:
    entries = [_entry(one) for one in fields.take("tables", list, [])]
    names = [one.table_name for one in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"table {twice[0]} is there twice"
        raise _FieldError(msg)
    return Manifest(
        warehouse_root=fields.take("warehouse_root", str, root),
        warehouse_spec_version=fields.take("warehouse_spec_version", str, SPEC_VERSION),
        tables=tuple(entries),
        roles=fields.take("roles", dict, {}),
        other=fields.rest(),
    )


def _entry(content: object) -> TableEntry:
    fields = _Fields(content, "a table")
    name, role = fields.take("table_name", str, None), fields.take("role", str, None)
    if not name or not role:
        msg = f"table {name!r} with role {role!r}: each needs a table_name and a role"
        raise _FieldError(msg)
    files = fields.take("files", dict, None)
    return TableEntry(
        table_name=name,
        role=role,
        format=fields.take("format", str, "parquet"),
        row_count=fields.take("row_count", int, None),
        files=None if files is None else {file: _part(note) for file, note in files.items()},
        migrations=tuple(fields.take("migrations", list, [])),
        join_keys=fields.texts("join_keys"),
        columns=fields.texts("columns"),
        object_keys=fields.texts("object_keys"),
        **{text: fields.take(text, str, None) for text in _TEXTS},
        other=fields.rest(),
    )


def _part(content: object) -> PartNote:
    fields = _Fields(content, "a file")
    return PartNote(
        row_count=fields.take("row_count", int, 0),
        scope=fields.take("scope", str, None),
        source_ref=fields.take("source_ref", str, None),
    )


def _note(part: PartNote) -> dict[str, Any]:
    said = {"row_count": part.row_count, "scope": part.scope, "source_ref": part.source_ref}
    return {name: value for name, value in said.items() if value is not None}
