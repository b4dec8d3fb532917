"""What a root holds, however it was made: the manifest as it is, folders, files, their schemas."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from cp_assets.cytomining.manifest import MANIFEST_NAME, load_json, major_version
from cp_assets.cytomining.manifest import known_version as _known_version
from cp_assets.cytomining.parts import conform, parquet_batches, plain_schema
from cp_assets.cytomining.root import HIDDEN
from cp_assets.errors import WarehouseRootError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cp_assets.stores import Place

_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\]")
_PARTS = 2


@dataclass(frozen=True)
class FoundFile:
    """A Parquet file of a table.

    Attributes
    ----------
    relative
        Below the root.
    problem
        Why it cannot be read; then it has neither columns nor rows.
    """

    place: Place
    relative: str
    schema: pa.Schema = field(default_factory=lambda: pa.schema([]))
    rows: int = 0
    problem: str | None = None


@dataclass(frozen=True)
class FoundTable:
    """A table as the manifest has it, and what lies where it should.

    Attributes
    ----------
    said
        The manifest's entry, whatever it is.
    label
        What to call it in findings.
    parts
        Namespace and table; None where the name is not of that form, or leads out of the root.
    place_problem
        Why there is no table where it should lie.
    files
        Those that the manifest names, or all that are there where it names none.
    strays, missing
        Files in the table's folder that the manifest does not name; those it names that are not
        there.
    """

    said: dict[str, Any]
    label: str
    name_problem: str | None
    parts: tuple[str, ...] | None
    place_problem: str | None
    files: tuple[FoundFile, ...] = ()
    strays: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def role(self) -> str:
        """Its role, or nothing."""
        return self.text("role")

    @property
    def namespace(self) -> str:
        """Its namespace, or nothing."""
        return ".".join(self.parts[:-1]) if self.parts else ""

    @property
    def name(self) -> str:
        """The table without namespace; of a name of another form, the name."""
        return self.parts[-1] if self.parts else self.label

    def text(self, key: str) -> str:
        """A field that is a text, or nothing."""
        value = self.said.get(key)
        return value if isinstance(value, str) else ""

    def texts(self, key: str) -> tuple[str, ...]:
        """A field that is a list of texts, or nothing."""
        value = self.said.get(key)
        return (
            tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
        )

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns of the files, or, where there are none, of the manifest."""
        names = dict.fromkeys(name for file in self.files for name in file.schema.names)
        return tuple(names) or self.texts("columns")

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)

    def kinds(self) -> dict[str, pa.DataType]:
        """Column -> type that its values are read in: text where the files have several types."""
        found: dict[str, set[pa.DataType]] = {}
        for file in self.files:
            for one in file.schema:
                found.setdefault(one.name, set()).add(one.type)
        known = {name: [one for one in kinds if one != pa.null()] for name, kinds in found.items()}
        return {name: one[0] if len(one) == 1 else pa.string() for name, one in known.items()}

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Rows of some columns, which are null where a file lacks them."""
        kinds = self.kinds()
        schema = pa.schema([(name, kinds[name]) for name in columns])
        for file in self.files:
            if file.problem is None:
                yield from _columns_of(file, schema)


@dataclass(frozen=True)
class FoundRoot:
    """A root as it is.

    Attributes
    ----------
    content
        The manifest's JSON object; None where there is none.
    problem
        Why the manifest cannot be read, where it is there.
    loose
        Parquet files that lie in no ``<namespace>/<table>/``, below the root.
    unnamed
        ``namespace.table`` of folders with Parquet files that the manifest does not name.
    unfinished
        Writes of cp_assets that ended before they were done.
    """

    root: Place
    content: dict[str, Any] | None
    problem: str | None
    tables: tuple[FoundTable, ...]
    loose: tuple[str, ...]
    unnamed: tuple[str, ...]
    unfinished: tuple[str, ...]

    @property
    def is_local(self) -> bool:
        """Whether the root lies on disk."""
        return isinstance(self.root, Path)

    @property
    def version(self) -> object:
        """The specification's version as declared."""
        return None if self.content is None else self.content.get("warehouse_spec_version")

    def repeated(self) -> list[str]:
        """Names that several entries have."""
        counts = Counter(table.label for table in self.tables)
        return [name for name, count in counts.items() if count > 1]


def inspect_root(root: Place) -> FoundRoot:
    """Look at a root; reads the manifest, names and the files' footers.

    Raises
    ------
    WarehouseRootError
        If there is no such folder, or its major version is not known.
    """
    if not root.is_dir():
        msg = f"{root}: there is no such folder; name a warehouse root"
        raise WarehouseRootError(msg)
    content, problem = _content(root)
    if content is not None and major_version(content.get("warehouse_spec_version")) is not None:
        _known_version(content["warehouse_spec_version"], root / MANIFEST_NAME)
    listed = content.get("tables") if content else None
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if isinstance(listed, list) and len(entries) < len(listed):
        problem = "tables has entries that are no objects"
    elif content is not None and listed is not None and not isinstance(listed, list):
        problem = f"tables is {type(listed).__name__}, expected a list"
    files = _parquet_files(root)
    tables = tuple(_table(root, one, number, files) for number, one in enumerate(entries))
    named = {table.parts for table in tables}
    folders = sorted({tuple(one.split("/")[:-1]) for one in files})
    return FoundRoot(
        root,
        content,
        problem,
        tables,
        loose=tuple(one for one in files if len(one.split("/")) <= _PARTS),
        unnamed=tuple(
            sorted(
                {
                    ".".join(one[:_PARTS])
                    for one in folders
                    if len(one) >= _PARTS and not any(one[: len(p)] == p for p in named if p)
                }
            )
        ),
        unfinished=_unfinished(root),
    )


def _content(root: Place) -> tuple[dict[str, Any] | None, str | None]:
    try:
        content = load_json(root)
    except WarehouseRootError as error:
        return None, str(error)
    if content is None:
        return None, None
    if not isinstance(content, dict):
        return None, f"{MANIFEST_NAME} is {type(content).__name__}, expected an object"
    return content, None


def _table(root: Place, said: dict[str, Any], number: int, files: dict[str, Place]) -> FoundTable:
    name = said.get("table_name")
    label = name if isinstance(name, str) and name else f"entry {number + 1}"
    problem = _name_problem(name)
    parts = None if problem else tuple(str(name).split("."))
    if parts is None:
        return FoundTable(said, _printable(label), problem, None, None)
    folder = "/".join(parts)
    out = _leads_out(root, folder)
    below = {} if out else {one: at for one, at in files.items() if one.startswith(f"{folder}/")}
    where = out or (None if below else f"no Parquet file in {folder}/")
    noted = said.get("files")
    own = {f"{folder}/{one}" for one in noted} if isinstance(noted, dict) else set(below)
    found = tuple(_file(one, at) for one, at in below.items() if one in own)
    strays = tuple(one for one in below if one not in own)
    return FoundTable(
        said, label, problem, parts, where, found, strays, tuple(sorted(own.difference(below)))
    )


def _printable(label: str) -> str:
    return label if label.isprintable() else repr(label)


def _name_problem(name: object) -> str | None:
    """Why a name is no ``namespace.table`` below the root; None if it is."""
    if not isinstance(name, str) or not name.strip():
        return "has no table_name"
    if _UNSAFE.search(name):
        return f"{name!r} has characters that no folder's name may have, or leads out of the root"
    parts = name.split(".")
    if len(parts) < _PARTS:
        return f"{name} has no namespace"
    if any(not part or part != part.strip() for part in parts):
        return f"{name!r} has an empty part"
    return None


def _leads_out(root: Place, folder: str) -> str | None:
    if not isinstance(root, Path):
        return None
    if (root / folder).resolve().is_relative_to(root.resolve()):
        return None
    return f"{folder} is a link that leads out of the root"


def _parquet_files(root: Place) -> dict[str, Place]:
    """Path below the root -> Parquet file; hidden names and links out of the root are passed by."""
    found: dict[str, Place] = {}
    inside = root.resolve()
    seen: set[Place] = set()

    def look(folder: Place, above: str) -> None:
        seen.add(folder.resolve())
        there: list[Place] = sorted(folder.iterdir(), key=lambda place: str(place.name))
        for one in there:
            resolved = one.resolve()
            if one.name.startswith((".", "_")) or resolved in seen:
                continue
            if isinstance(resolved, Path) and not resolved.is_relative_to(str(inside)):
                continue
            if one.is_dir():
                look(one, f"{above}{one.name}/")
            elif one.name.endswith(".parquet"):
                found[f"{above}{one.name}"] = one

    look(root, "")
    return found


def _file(relative: str, place: Place) -> FoundFile:
    try:
        with _opened(place) as parquet:
            schema = plain_schema(parquet.schema_arrow)
            return FoundFile(place, relative, schema, parquet.metadata.num_rows)
    except (OSError, pa.ArrowException) as error:
        why = str(error).partition("\n")[0]
        return FoundFile(place, relative, problem=f"{relative} cannot be read: {why}")


@contextmanager
def _opened(place: Place) -> Iterator[pq.ParquetFile]:
    with place.open("rb") as stream, pq.ParquetFile(stream) as parquet:
        yield parquet


def _columns_of(file: FoundFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    there = [name for name in schema.names if name in file.schema.names]
    with _opened(file.place) as parquet:
        for batch in parquet_batches(parquet, there):
            try:
                yield conform(batch, schema)
            except pa.ArrowException as error:
                msg = f"{file.relative}: columns {', '.join(there)} cannot be read ({error})"
                raise WarehouseRootError(msg) from error


def _unfinished(root: Place) -> tuple[str, ...]:
    hidden = root / HIDDEN
    if not isinstance(hidden, Path) or not hidden.is_dir():
        return ()
    return tuple(sorted(one.name for one in hidden.iterdir() if (one / "journal.json").is_file()))
