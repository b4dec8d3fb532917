"""Writes into a root: against a plain model, with faults in every place, several at once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iceberg_bioimage import export_table_to_cytomining_warehouse, validate_warehouse_manifest

from cp_assets.cytomining import root as root_module
from cp_assets.cytomining.checking import check_root
from cp_assets.cytomining.manifest import MANIFEST_NAME, read_manifest
from cp_assets.cytomining.merging import Mode, Rows
from cp_assets.cytomining.names import TableName
from cp_assets.cytomining.root import HIDDEN, writing
from cp_assets.errors import WarehouseRootError
from cp_assets_tests.cytomining.conftest import PROFILES, profile_rows, read_folder

NAME = "profiles.cell_profiles"


def write(root: Path, *rows: Rows, mode: Mode = "append", migration: str | None = None) -> None:
    with writing(root, mode, migration) as one:
        for some in rows:
            one.add(some)
        one.commit()


def objects(root: Path, name: str = NAME) -> list[str]:
    return sorted(read_folder(root, name)["Metadata_ObjectID"].to_pylist())


def files(root: Path) -> set[str]:
    return {one.relative_to(root).as_posix() for one in root.rglob("*") if one.is_file()}


_SCOPES = st.sampled_from(["p1", "p2", "p3"])
_TABLES = st.sampled_from(["profiles.a_cells", "profiles.b_cells"])
_COLUMNS = st.sampled_from([(), ("x",), ("x", "y"), ("z",)])
_WRITES = st.lists(
    st.tuples(
        st.sampled_from(["append", "replace"]),
        st.lists(st.tuples(_TABLES, _SCOPES, st.integers(0, 3), _COLUMNS), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=12)
@given(_WRITES)
def test_any_sequence_of_writes_is_what_a_plain_model_says(
    writes: list[tuple[Mode, list[tuple[str, str, int, tuple[str, ...]]]]],
) -> None:
    model: dict[str, dict[str, list[str]]] = {}
    number = 0
    folder = Path(tempfile.mkdtemp())
    try:
        root = folder / "root"
        for mode, rows in writes:
            # The same scope twice in one write would be two halves of one.
            once = {(table, scope): (count, more) for table, scope, count, more in rows}
            given_rows = []
            for (table, scope), (count, more) in once.items():
                number += 1
                ids = [f"{number}-{one}" for one in range(count)]
                extra = {name: [1.5] * count for name in more}
                declared = replace(PROFILES, name=TableName.parse(table))
                given_rows.append((table, scope, ids, profile_rows(scope, ids, declared, **extra)))
            if mode == "replace":
                model.update({table: {} for table, *_ in given_rows if table in model})
            for table, scope, ids, _ in given_rows:
                if ids or table in model:
                    model.setdefault(table, {})[scope] = ids
            for table, scope, ids, _ in given_rows:
                if table in model:
                    model[table][scope] = ids
            write(root, *(one for *_, one in given_rows), mode=mode)
            _is_as(root, model)
        assert check_root(root).is_valid
        assert not check_root(root).warnings
        assert validate_warehouse_manifest(root).is_valid
    finally:
        shutil.rmtree(folder)


def _is_as(root: Path, model: dict[str, dict[str, list[str]]]) -> None:
    manifest = read_manifest(root)
    assert manifest is not None
    assert [one.table_name for one in manifest.tables] == sorted(model)
    for table, scopes in model.items():
        expected = sorted(one for ids in scopes.values() for one in ids)
        assert objects(root, table) == expected
        entry = manifest.table(table)
        assert entry is not None
        assert entry.row_count == len(expected)
    assert [one.name for one in (root / HIDDEN).iterdir()] == ["lock"]


def test_same_scope_again_replaces_its_rows_and_keeps_the_others(root: Path) -> None:
    write(root, profile_rows("p1", ["a", "b"]), profile_rows("p2", ["c"]))
    write(root, profile_rows("p1", ["d"]))
    assert objects(root) == ["c", "d"]


def test_replace_keeps_the_identifier_and_other_tables(root: Path) -> None:
    other = replace(PROFILES, name=TableName.parse("profiles.other_cells"))
    write(root, profile_rows("p1", ["a"]), profile_rows("p1", ["b"], other))
    write(root, profile_rows("p2", ["c"]), mode="replace")
    assert objects(root) == ["c"]
    assert objects(root, "profiles.other_cells") == ["b"]


def test_new_column_widens_every_file(root: Path) -> None:
    write(root, profile_rows("p1", ["a"]))
    write(root, profile_rows("p2", ["b"], Cells_Area=[1]))
    write(root, profile_rows("p3", ["c"], Cells_Area=[1.5], Cells_Name=["n"]))
    table = read_folder(root, NAME).sort_by("Metadata_ObjectID")
    assert table["Cells_Area"].to_pylist() == [None, 1.0, 1.5]
    assert table["Cells_Name"].to_pylist() == [None, None, "n"]
    assert check_root(root).is_valid


def test_column_of_another_type_is_refused_before_anything_is_written(root: Path) -> None:
    write(root, profile_rows("p1", ["a"], Cells_Area=[1.5]))
    before = files(root)
    with pytest.raises(
        WarehouseRootError, match="column Cells_Area is string, and double in the root"
    ):
        write(root, profile_rows("p2", ["b"], Cells_Area=["large"]))
    assert files(root) == before


def test_rows_without_a_join_key_are_refused(root: Path) -> None:
    declared = replace(PROFILES, join_keys=("dataset_id", "well_id"))
    with pytest.raises(WarehouseRootError, match="have no column well_id"):
        write(root, profile_rows("p1", ["a"], declared))


@pytest.mark.parametrize(
    "change",
    [
        {"profile_level": "image"},
        {"compartment": "nuclei"},
        {"grain": "nucleus"},
        {"join_keys": ("image_id",)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_append_does_not_change_what_a_table_means(root: Path, change: dict[str, str]) -> None:
    declared = replace(PROFILES, compartment="cells")
    write(root, profile_rows("p1", ["a"], declared))
    other = replace(declared, **change)
    with pytest.raises(WarehouseRootError, match="in the root, not"):
        write(root, profile_rows("p2", ["b"], other))
    with pytest.raises(WarehouseRootError, match="say why with --migration"):
        write(root, profile_rows("p2", ["b"], other), mode="replace")
    write(root, profile_rows("p2", ["b"], other), mode="replace", migration="now otherwise")
    manifest = read_manifest(root)
    assert manifest is not None
    entry = manifest.tables[0]
    assert entry.migrations[0]["reason"] == "now otherwise"
    assert list(entry.migrations[0]["changed"]) == list(change)


def test_append_keeps_role_whatever_the_peer_says(root: Path) -> None:
    write(root, profile_rows("p1", ["a"]))
    with pytest.raises(WarehouseRootError, match="role is profiles in the root, not embeddings"):
        write(root, profile_rows("p2", ["b"], replace(PROFILES, role="embeddings")))


@pytest.mark.parametrize("content", ["notes.txt", "images"])
def test_folder_of_other_things_is_refused(root: Path, content: str) -> None:
    (root / content).mkdir(parents=True)
    with pytest.raises(WarehouseRootError, match="is a folder of other things"):
        write(root, profile_rows("p1", ["a"]))


def test_file_is_no_root(tmp_path: Path) -> None:
    (tmp_path / "root").write_text("")
    with pytest.raises(WarehouseRootError, match="is a file"):
        write(tmp_path / "root", profile_rows("p1", ["a"]))


def test_root_of_an_unknown_major_version_is_left_alone(root: Path) -> None:
    write(root, profile_rows("p1", ["a"]))
    manifest = json.loads((root / MANIFEST_NAME).read_text())
    (root / MANIFEST_NAME).write_text(json.dumps({**manifest, "warehouse_spec_version": "2.0.0"}))
    before = files(root)
    with pytest.raises(WarehouseRootError, match=r"2\.0\.0, and this cp_assets knows 1\.x\.y"):
        write(root, profile_rows("p2", ["b"]))
    assert files(root) == before


def test_manifest_that_names_files_out_of_the_table_is_refused(root: Path) -> None:
    write(root, profile_rows("p1", ["a"]))
    manifest = json.loads((root / MANIFEST_NAME).read_text())
    manifest["tables"][0]["files"] = {"../../../secret.parquet": {"row_count": 1}}
    (root / MANIFEST_NAME).write_text(json.dumps(manifest))
    with pytest.raises(WarehouseRootError, match="leads out of its folder"):
        write(root, profile_rows("p2", ["b"]))


# -- faults


class _CrashError(Exception):
    pass


def _crash(*_: object, **__: object) -> None:
    raise _CrashError


@pytest.mark.parametrize("place", ["_write_journal", "_replace_manifest"])
def test_fault_before_the_manifest_leaves_the_old_root(
    root: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    write(root, profile_rows("p1", ["a"]), profile_rows("p2", ["b"]))
    before, manifest = files(root), (root / MANIFEST_NAME).read_bytes()
    monkeypatch.setattr(root_module, place, _crash)
    with pytest.raises(_CrashError):
        write(root, profile_rows("p1", ["c"]))
    assert files(root) == before
    assert (root / MANIFEST_NAME).read_bytes() == manifest
    assert objects(root) == ["a", "b"]


def test_fault_of_the_first_write_leaves_no_table(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root_module, "_replace_manifest", _crash)
    with pytest.raises(_CrashError):
        write(root, profile_rows("p1", ["a"]))
    assert files(root) == {f"{HIDDEN}/lock"}
    monkeypatch.undo()
    write(root, profile_rows("p1", ["a"]))
    assert objects(root) == ["a"]


def test_rows_that_fail_half_way_leave_nothing(root: Path) -> None:
    write(root, profile_rows("p1", ["a"]))
    before = files(root)
    rows = profile_rows("p1", ["b"])

    def half() -> object:
        yield from rows.batches
        raise _CrashError

    with pytest.raises(_CrashError):
        write(root, replace(rows, batches=half()))
    assert files(root) == before


_KILLED = """
import os, signal, sys
from pathlib import Path
from cp_assets.cytomining import root as module
from cp_assets_tests.cytomining.conftest import profile_rows

def write(place, root):
    own = getattr(module, place)
    def killed(*arguments):
        if place == "_write_journal":
            own(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(module, place, killed)
    with module.writing(root) as one:
        one.add(profile_rows("p1", ["c"]))
        one.commit()

for argument in sys.argv[1:]:
    child = os.fork()  # before pyarrow has any thread
    if child == 0:
        write(Path(argument).name, Path(argument))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""

_KILLED_AT = {
    "_write_journal": ["a", "b"],
    "_replace_manifest": ["a", "b"],
    "_settle": ["b", "c"],
}
"""Where a write is killed -> what the root then has."""


@pytest.mark.slow
def test_killed_write_leaves_old_or_new_and_the_next_cleans_up(tmp_path: Path) -> None:
    roots = {tmp_path / place: expected for place, expected in _KILLED_AT.items()}
    for root in roots:
        write(root, profile_rows("p1", ["a"]), profile_rows("p2", ["b"]))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", _KILLED, *map(str, roots)], check=True, env=environment)
    for root, expected in roots.items():
        assert _named_objects(root) == expected
        report = check_root(root)
        assert report.is_valid
        assert any("ended before it was done" in one for one in report.warnings)
        write(root, profile_rows("p3", ["d"]))
        assert objects(root) == [*expected, "d"]
        assert not check_root(root).warnings
        assert [one.name for one in (root / HIDDEN).iterdir()] == ["lock"]


def _named_objects(root: Path) -> list[str]:
    """What whoever goes by the manifest reads."""
    manifest = read_manifest(root)
    assert manifest is not None
    named = manifest.tables[0].files
    assert named is not None
    tables = [pq.read_table(root / "profiles" / "cell_profiles" / one) for one in named]
    return sorted(pa.concat_tables(tables)["Metadata_ObjectID"].to_pylist())


def test_dead_staging_without_a_journal_is_removed(root: Path) -> None:
    write(root, profile_rows("p1", ["a"]))
    dead = root / HIDDEN / "dead"
    dead.mkdir()
    (dead / "part.parquet").write_text("half")
    write(root, profile_rows("p2", ["b"]))
    assert not dead.exists()
    assert objects(root) == ["a", "b"]


# -- several at once


def _at_once(*tasks: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def run(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_writes_at_once_lose_no_table_and_no_scope(root: Path) -> None:
    def task(number: int) -> Callable[[], None]:
        declared = replace(PROFILES, name=TableName.parse(f"profiles.cells_{number % 3}"))
        rows = profile_rows(f"p{number}", [f"o{number}"], declared)
        return lambda: write(root, rows)

    _at_once(*(task(number) for number in range(12)))
    for table in range(3):
        expected = sorted(f"o{number}" for number in range(12) if number % 3 == table)
        assert objects(root, f"profiles.cells_{table}") == expected
    assert check_root(root).is_valid


def test_write_that_began_before_another_keeps_the_others_rows_and_columns(root: Path) -> None:
    with writing(root) as slow:
        slow.add(profile_rows("p1", ["a"], Cells_Area=[1.0]))
        write(root, profile_rows("p2", ["b"], Cells_Name=["n"]))
        slow.commit()
    assert objects(root) == ["a", "b"]
    assert check_root(root).is_valid


def test_write_that_began_before_another_does_not_change_what_that_says(root: Path) -> None:
    with writing(root) as slow:
        slow.add(profile_rows("p1", ["a"], replace(PROFILES, grain="nucleus")))
        write(root, profile_rows("p2", ["b"]))
        with pytest.raises(WarehouseRootError, match="grain is cell in the root"):
            slow.commit()
    assert objects(root) == ["b"]


# -- roots of the peer's, and ours after the peer


def _peers(root: Path, *objects: str) -> None:
    table = pa.table(
        {
            "dataset_id": ["d"] * len(objects),
            "image_id": ["i"] * len(objects),
            "Metadata_ObjectID": list(objects),
        }
    )
    export_table_to_cytomining_warehouse(
        table, root, table_name=NAME, role="profiles", join_keys=["dataset_id", "image_id"]
    )


def test_table_of_the_peers_is_added_to(root: Path) -> None:
    _peers(root, "a", "b")
    write(root, profile_rows("p1", ["c"]))
    assert objects(root) == ["a", "b", "c"]
    manifest = read_manifest(root)
    assert manifest is not None
    assert manifest.tables[0].row_count == 3


def test_scope_is_known_after_the_peer_has_written_the_manifest(root: Path) -> None:
    write(root, profile_rows("p1", ["a"]))
    _peers(root, "b")
    write(root, profile_rows("p1", ["c"]))
    assert objects(root) == ["b", "c"]


def test_table_of_the_peers_whose_files_differ_gets_all_columns(root: Path) -> None:
    for name, value in (("x", 1), ("y", None)):
        row = {"dataset_id": "d", "image_id": "i", "Metadata_ObjectID": name, name: value}
        export_table_to_cytomining_warehouse(
            pa.Table.from_pylist([row]), root, table_name=NAME, role="profiles"
        )
    write(root, profile_rows("p1", ["c"], y=["text"]))
    found = read_folder(root, NAME)
    assert set(found.column_names) == {"dataset_id", "image_id", "Metadata_ObjectID", "x", "y"}
    assert objects(root) == ["c", "x", "y"]
    assert "Manifest 3" not in [
        one.clause.key for one in check_root(root).results if one.outcome == "broken"
    ]


def test_damaged_file_of_a_table_is_told_in_one_line(root: Path) -> None:
    write(root, profile_rows("p1", ["a"]))
    next((root / "profiles" / "cell_profiles").iterdir()).write_text("damaged")
    with pytest.raises(WarehouseRootError, match="cannot be read as Parquet"):
        write(root, profile_rows("p2", ["b"]))


def test_legacy_root_without_namespaces_is_told_in_one_line(root: Path) -> None:
    root.mkdir()
    entry = {"table_name": "image_assets", "role": "image_assets"}
    (root / MANIFEST_NAME).write_text(json.dumps({"warehouse_root": str(root), "tables": [entry]}))
    with pytest.raises(WarehouseRootError, match="warehouse_spec_version is None"):
        write(root, profile_rows("p1", ["a"]))
