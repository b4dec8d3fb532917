"""The judge of each clause: what of a root breaks it, or why it does not apply.

A judge gives a list of findings, empty where the clause is met; or a text, why it does not apply.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa

from cp_assets.cytomining import clauses as of
from cp_assets.cytomining.identifiers import (
    mixed_kinds,
    profile_identifiers,
    unchunked_rows,
)
from cp_assets.cytomining.manifest import SPEC_VERSION, major_version
from cp_assets.cytomining.roles import OPTIONAL_ROLES, PROFILE_ROLES, STANDARD_ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cp_assets.cytomining.inspection import FoundRoot, FoundTable

Verdict = list[str] | str
Judge = Callable[["FoundRoot"], Verdict]

JUDGES: dict[str, Judge] = {}
"""Key of a clause -> its judge."""

_IMAGE_ROLES = ("image_assets", "chunk_index", "image_crops", "source_images")
_NAMESPACES = ("profiles", "images", "quality_control", "embeddings")
_FIELDS = {"table_name": str, "role": str, "format": str, "join_keys": list, "columns": list}
_QUALITY = re.compile(r"(?:^|_)(?:qc|cosmicqc|quality_control)(?:_|$)")
_KINDS = re.compile(
    r"(?:^|_)(?:cells?|nucle(?:i|us)|cytoplasm|organoids?|images?|objects?|wells?|sites?|plates?"
    r"|joined|single_cells?|consensus|treatments?)(?:_|$)"
)
_NO_MANIFEST = "the root has no manifest that can be read"


def _judge(section: str, *numbers: str) -> Callable[[Judge], Judge]:
    def add(judge: Judge) -> Judge:
        JUDGES.update({f"{section} {number}": judge for number in numbers})
        return judge

    return add


def _judge_tables(
    section: str, number: str, chosen: Callable[[FoundTable], bool], none: str
) -> Callable[[Callable[[FoundTable], Iterable[str]]], Callable[[FoundTable], Iterable[str]]]:
    """A clause that is judged table by table; does not apply where no table is chosen."""

    def add(judge: Callable[[FoundTable], Iterable[str]]) -> Callable[[FoundTable], Iterable[str]]:
        def verdict(root: FoundRoot) -> Verdict:
            if root.content is None:
                return _NO_MANIFEST
            tables = [table for table in root.tables if chosen(table)]
            if not tables:
                return none
            return [f"{table.label}: {one}" for table in tables for one in judge(table)]

        JUDGES[f"{section} {number}"] = verdict
        return judge

    return add


def _any(_table: FoundTable) -> bool:
    return True


def _is_profile(table: FoundTable) -> bool:
    return table.role in PROFILE_ROLES


def _is_image(table: FoundTable) -> bool:
    return table.role in _IMAGE_ROLES


def _is_quality(table: FoundTable) -> bool:
    return table.namespace == "quality_control" or bool(_QUALITY.search(table.role))


def _has_role(role: str) -> Callable[[FoundTable], bool]:
    return lambda table: table.role == role


_NO_TABLE = "the manifest has no table"
_NO_PROFILE = "the root has no profile table"
_NO_IMAGE = "the root has no table of images"
_NO_QUALITY = "the root has no quality-control table"


@_judge(of.VERSIONING, "1")
def _version(root: FoundRoot) -> Verdict:
    if root.content is None:
        return _NO_MANIFEST
    return [] if root.version is not None else ["warehouse_spec_version is missing"]


@_judge(of.VERSIONING, "2")
def _semantic(root: FoundRoot) -> Verdict:
    if root.version is None:
        return "no version is declared"
    known = major_version(root.version) is not None
    return [] if known else [f"{root.version!r} is no MAJOR.MINOR.PATCH, such as {SPEC_VERSION}"]


@_judge(of.TABLES, "1")
def _organized(root: FoundRoot) -> Verdict:
    return [f"{one} lies in no <namespace>/<table>/" for one in root.loose]


@_judge_tables(of.TABLES, "2", _any, _NO_TABLE)
@_judge_tables(of.MANIFEST, "2", _any, _NO_TABLE)
def _identifier(table: FoundTable) -> Iterable[str]:
    return [table.name_problem] if table.name_problem else []


def _mapped(root: FoundRoot) -> Verdict:
    if root.content is None:
        return _NO_MANIFEST
    if not root.tables:
        return _NO_TABLE
    named = [(table.label, table.name_problem or table.place_problem) for table in root.tables]
    return [f"{label}: {problem}" for label, problem in named if problem]


@_judge(of.TABLES, "3")
def _mapped_on_disk(root: FoundRoot) -> Verdict:
    return _mapped(root) if root.is_local else "the root lies in an object store"


@_judge(of.TABLES, "4")
def _mapped_in_stores(root: FoundRoot) -> Verdict:
    return "the root lies on disk" if root.is_local else _mapped(root)


@_judge_tables(of.NAMESPACES, "1", _is_profile, _NO_PROFILE)
def _profiles_there(table: FoundTable) -> Iterable[str]:
    return _in(table, "profiles")


@_judge_tables(of.NAMESPACES, "2", _is_image, _NO_IMAGE)
@_judge_tables(of.IMAGES, "1", _is_image, _NO_IMAGE)
@_judge_tables(of.IMAGES, "2", _is_image, _NO_IMAGE)
def _images_there(table: FoundTable) -> Iterable[str]:
    return _in(table, "images")


@_judge_tables(of.NAMESPACES, "3", _is_quality, _NO_QUALITY)
def _quality_there(table: FoundTable) -> Iterable[str]:
    return _in(table, "quality_control")


def _in(table: FoundTable, namespace: str) -> list[str]:
    if table.namespace == namespace:
        return []
    return [f"its role is {table.role}, so it belongs to the namespace {namespace}"]


def _named(role: str, name: str) -> Callable[[FoundTable], Iterable[str]]:
    def judge(table: FoundTable) -> Iterable[str]:
        return [] if table.label == name else [f"its role is {role}, so its name is {name}"]

    return judge


for _section, _number, _role, _name in (
    (of.IMAGES, "3", "image_assets", "images.image_assets"),
    (of.NAMES, "1", "joined_profiles", "profiles.joined_profiles"),
    (of.NAMES, "2", "image_crops", "images.image_crops"),
    (of.NAMES, "3", "source_images", "images.source_images"),
):
    _judge_tables(_section, _number, _has_role(_role), f"the root has no table of role {_role}")(
        _named(_role, _name)
    )


@_judge(of.IMAGES, "4")
def _chunks(root: FoundRoot) -> Verdict:
    return unchunked_rows(root)


@_judge_tables(of.IMAGES, "6", _has_role("image_assets"), "the root has no image_assets")
def _canonical_columns(table: FoundTable) -> Iterable[str]:
    there = table.columns
    wanted = ("dataset_id", "image_id", "dtype")
    missing = [name for name in wanted if name not in there]
    missing += [] if any(name.startswith("shape") for name in there) else ["shape"]
    return [f"has no column of {name}" for name in missing]


@_judge(of.NAMES, "4")
def _view(root: FoundRoot) -> Verdict:
    names = {table.label for table in root.tables}
    if "profiles.profile_with_images" not in names:
        return "the root has no profiles.profile_with_images, which it need not have"
    wanted = ("profiles.joined_profiles", "images.image_crops")
    return [
        f"profiles.profile_with_images is there without {one}" for one in wanted if one not in names
    ]


@_judge_tables(of.NAMES, "6", _any, _NO_TABLE)
def _fitting(table: FoundTable) -> Iterable[str]:
    # A namespace that is called as the role fits what the table is.
    if table.parts is None or table.namespace in (*_NAMESPACES, table.role):
        return []
    return [f"namespace {table.namespace} is none of {', '.join(_NAMESPACES)}"]


def _undocumented(root: FoundRoot) -> list[str]:
    said = root.content.get("roles") if root.content else None
    documented = set(said) if isinstance(said, dict) else set()
    known = documented.union(STANDARD_ROLES, OPTIONAL_ROLES)
    return [
        f"{table.label}: role {table.said.get('role')!r} is none of the specification's, and the "
        "manifest's `roles` does not say what it means"
        for table in root.tables
        if table.role not in known
    ]


@_judge(of.ROLES, "1")
def _vocabulary(root: FoundRoot) -> Verdict:
    if root.content is None:
        return _NO_MANIFEST
    return _undocumented(root) if root.tables else _NO_TABLE


@_judge_tables(of.ROLES, "8", _has_role("embeddings"), "the root has no embeddings")
def _embeddings(table: FoundTable) -> Iterable[str]:
    there = table.namespace in ("embeddings", "profiles")
    return [] if there else [f"namespace is {table.namespace}, expected embeddings"]


@_judge(of.ROLES, "9")
def _documented(root: FoundRoot) -> Verdict:
    standard = {*STANDARD_ROLES, *OPTIONAL_ROLES}
    if all(table.role in standard for table in root.tables):
        return "the root has no role of a project's own"
    return _undocumented(root)


@_judge_tables(of.PROFILES, "2", _is_profile, _NO_PROFILE)
@_judge_tables(of.PROFILES, "3", _is_profile, _NO_PROFILE)
def _one_kind(table: FoundTable) -> Iterable[str]:
    return mixed_kinds(table)


@_judge_tables(of.PROFILES, "4", _is_profile, _NO_PROFILE)
def _identified(table: FoundTable) -> Iterable[str]:
    return profile_identifiers(table)


@_judge_tables(of.PROFILES, "5", _is_profile, _NO_PROFILE)
def _level(table: FoundTable) -> Iterable[str]:
    return [] if table.text("profile_level") else ["declares no profile_level"]


@_judge_tables(of.PROFILES, "6a", _is_profile, _NO_PROFILE)
def _joins_by_role(table: FoundTable) -> Iterable[str]:
    return [] if table.role else ["has no role"]


@_judge_tables(of.PROFILES, "6b", _is_profile, _NO_PROFILE)
def _telling_name(table: FoundTable) -> Iterable[str]:
    tells = _KINDS.search(table.name.lower()) or table.text("compartment") in table.name.split("_")
    return [] if tells else ["its name tells neither object nor compartment"]


@_judge_tables(of.QUALITY, "2", lambda one: _is_quality(one) or _is_filter(one), _NO_QUALITY)
def _filters_there(table: FoundTable) -> Iterable[str]:
    if table.namespace == "quality_control":
        return []
    return ["is quality control, so it belongs to the namespace quality_control"]


def _is_filter(table: FoundTable) -> bool:
    return bool(_QUALITY.search(table.name.lower()))


@_judge_tables(of.QUALITY, "3", _is_quality, _NO_QUALITY)
def _object_ids(table: FoundTable) -> Iterable[str]:
    words = ("object", "cellid", "cell_id")
    found = any(word in name.lower() for name in table.columns for word in words)
    return [] if found else ["has no column of object ids"]


@_judge_tables(of.QUALITY, "4", _is_quality, _NO_QUALITY)
def _booleans(table: FoundTable) -> Iterable[str]:
    found = any(pa.types.is_boolean(kind) for kind in table.kinds().values())
    return [] if found else ["has no boolean column"]


@_judge_tables(of.QUALITY, "5", _is_quality, _NO_QUALITY)
def _quality_role(table: FoundTable) -> Iterable[str]:
    if _QUALITY.search(table.role):
        return []
    return [f"role is {table.role!r}, which does not say quality_control"]


@_judge(of.MANIFEST, "1")
def _there(root: FoundRoot) -> Verdict:
    if root.problem is not None:
        return [root.problem]
    return [] if root.content is not None else ["warehouse_manifest.json is missing"]


@_judge_tables(of.MANIFEST, "3", _any, _NO_TABLE)
def _fields(table: FoundTable) -> Iterable[str]:
    for name, kind in _FIELDS.items():
        value = table.said.get(name)
        if not isinstance(value, kind):
            yield f"{name} is missing" if value is None else f"{name} is {value!r}"
    columns = table.texts("columns")
    missing = [key for key in table.texts("join_keys") if key not in columns]
    # A table without rows may be without columns too.
    if missing and (columns or table.rows):
        yield f"join key {missing[0]} is none of its columns"
    if table.text("format") in ("", "parquet"):
        yield from _schemas(table)


def _schemas(table: FoundTable) -> Iterable[str]:
    """Whether each file has the columns that the manifest says, and no others."""
    said = set(table.texts("columns"))
    for file in table.files:
        if file.problem is not None:
            yield file.problem
            continue
        there = set(file.schema.names)
        for what, names in (("lacks", said - there), ("has, beyond the manifest,", there - said)):
            if names:
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                yield f"{file.relative} {what} column {min(names)}{more}"


@_judge(of.MANIFEST, "4")
def _unique(root: FoundRoot) -> Verdict:
    if root.content is None:
        return _NO_MANIFEST
    return [f"{name} is there more than once" for name in root.repeated()]


@_judge_tables(of.MANIFEST, "5", _any, _NO_TABLE)
def _enough(table: FoundTable) -> Iterable[str]:
    if not table.role:
        yield "has no role"
    elif _is_profile(table):
        said = [table.text(name) for name in ("profile_level", "compartment", "grain")]
        if not any(said) and not _KINDS.search(table.name.lower().replace("joined", "")):
            yield "neither profile_level, compartment nor grain says what a row is of"
        if not table.texts("join_keys"):
            yield "join_keys is empty, so nobody knows what it joins"


@_judge(of.WRITES, "3")
def _reflected(root: FoundRoot) -> Verdict:
    if root.content is None:
        return _NO_MANIFEST
    unnamed = [f"{one} has Parquet files, and no entry in the manifest" for one in root.unnamed]
    gone = [
        f"{table.label}: {table.place_problem}"
        for table in root.tables
        if table.parts and table.place_problem
    ]
    lost = [f"{table.label}: {one} is gone" for table in root.tables for one in table.missing]
    return unnamed + gone + lost


@_judge(of.WRITES, "4")
def _atomic(root: FoundRoot) -> Verdict:
    strays = [
        f"{table.label}: the manifest does not name {one}"
        for table in root.tables
        for one in table.strays
    ]
    unfinished = [
        f"export {one} ended before it was done; the next export cleans up"
        for one in root.unfinished
    ]
    return strays + unfinished


@_judge_tables(of.WRITES, "8", _any, _NO_TABLE)
def _origin(table: FoundTable) -> Iterable[str]:
    if not any(table.text(name) for name in ("producer", "source_type", "source_ref")):
        yield "neither producer, source_type nor source_ref says where it comes from"
    said = table.said.get("row_count")
    if isinstance(said, int) and said != table.rows and not any(one.problem for one in table.files):
        yield f"row_count is {said}, and its files have {table.rows} rows"
