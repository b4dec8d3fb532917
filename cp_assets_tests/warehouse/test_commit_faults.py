"""Commits whose answer is lost, late or an error: the table holds the old rows or the new."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitStateUnknownException

from cp_assets.errors import (
    PassingFaultError,
    WarehouseCommitUnknownError,
    WarehouseUnavailableError,
    WarehouseWriteError,
)
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.services.faults import Fault
from cp_assets_tests.services.faulty import FaultyS3
from cp_assets_tests.services.postgres import Postgres
from cp_assets_tests.services.s3 import S3Server
from cp_assets_tests.warehouse.configured import catalog_of, configured
from cp_assets_tests.warehouse.plates import SPEC, batch, numbers, write

Hook = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def intercept(monkeypatch: pytest.MonkeyPatch) -> Callable[[Warehouse, Hook], None]:
    """Let the next commit to a warehouse's catalog pass through a hook, and no other."""

    def install(warehouse: Warehouse, hook: Hook) -> None:
        own = warehouse.catalog.commit_table
        hooks = [hook]

        def commit(*arguments: Any) -> Any:
            if hooks:
                return hooks.pop()(lambda: own(*arguments))
            return own(*arguments)

        monkeypatch.setattr(warehouse.catalog, "commit_table", commit)

    return install


def taken_then(error: BaseException) -> Hook:
    def hook(commit: Callable[[], Any]) -> Any:
        commit()
        raise error

    return hook


def not_taken(error: BaseException) -> Hook:
    def hook(commit: Callable[[], Any]) -> Any:
        raise error

    return hook


def stored(warehouse: Warehouse, kind: str) -> set[str]:
    return {str(path) for path in Path(warehouse.name).rglob(f"*.{kind}")}


def named(warehouse: Warehouse) -> set[str]:
    """Manifests and their lists that the table's snapshots name."""
    table = warehouse.table("small")
    lists = {snapshot.manifest_list for snapshot in table.snapshots()}
    manifests = {
        manifest.manifest_path
        for snapshot in table.snapshots()
        for manifest in snapshot.manifests(table.io)
    }
    return {path.removeprefix("file://") for path in lists | manifests}


ERRORS = [
    CommitStateUnknownException("504"),
    ConnectionResetError("the answer is lost"),
    ValueError("an answer that cannot be read"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_commit_that_was_taken_is_a_success(
    warehouse: Warehouse, intercept: Callable[..., None], error: Exception
) -> None:
    write(warehouse, batch([1]))
    intercept(warehouse, taken_then(error))
    done = write(warehouse, batch([2, 3]))
    assert numbers(warehouse) == [2, 3]
    table = warehouse.table("small")
    assert done.snapshot_id == table.current_snapshot().snapshot_id
    assert len(table.snapshots()) == 2
    assert stored(warehouse, "avro") == named(warehouse)


@pytest.mark.parametrize("error", ERRORS[:2], ids=lambda error: type(error).__name__)
def test_a_commit_that_was_not_taken_is_sent_again(
    warehouse: Warehouse, intercept: Callable[..., None], error: Exception
) -> None:
    write(warehouse, batch([1]))
    intercept(warehouse, not_taken(error))
    write(warehouse, batch([2, 3]))
    assert numbers(warehouse) == [2, 3]
    assert len(warehouse.table("small").snapshots()) == 2
    assert stored(warehouse, "avro") == named(warehouse)


def test_a_final_error_leaves_nothing(warehouse: Warehouse, intercept: Callable[..., None]) -> None:
    write(warehouse, batch([1]))
    before = stored(warehouse, "avro"), stored(warehouse, "parquet")
    intercept(warehouse, not_taken(PermissionError("no right to it")))
    with pytest.raises(WarehouseWriteError, match="no right to it") as raised:
        write(warehouse, batch([2, 3]))
    assert not isinstance(raised.value, PassingFaultError)
    assert numbers(warehouse) == [1]
    assert (stored(warehouse, "avro"), stored(warehouse, "parquet")) == before


@pytest.mark.parametrize("taken", [True, False])
def test_an_interrupt_in_a_commit_leaves_the_new_files(
    warehouse: Warehouse, intercept: Callable[..., None], taken: bool
) -> None:
    write(warehouse, batch([1]))
    intercept(warehouse, (taken_then if taken else not_taken)(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write(warehouse, batch([2, 3]))
    assert numbers(open_warehouse(warehouse.name)) == ([2, 3] if taken else [1])


def test_a_catalog_that_never_answers_again_leaves_the_new_files(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(warehouse, batch([1]))
    own = warehouse.catalog.commit_table

    def silent(*arguments: Any) -> Any:
        own(*arguments)
        monkeypatch.setattr(type(warehouse.catalog), "load_table", gone)
        raise ConnectionResetError

    def gone(self: Catalog, identifier: Any) -> Any:
        raise ConnectionRefusedError

    with monkeypatch.context():
        monkeypatch.setattr("cp_assets.warehouse.attempts._PATIENCE_SECONDS", 0.1)
        monkeypatch.setattr(warehouse.catalog, "commit_table", silent)
        with pytest.raises(WarehouseCommitUnknownError, match=r"d/b/P1: the catalog did not say"):
            write(warehouse, batch([2, 3]))
    monkeypatch.undo()
    assert numbers(open_warehouse(warehouse.name)) == [2, 3]


@pytest.fixture
def on_postgres(tmp_path: Path, postgres: Postgres, s3_server: S3Server) -> Iterator[Warehouse]:
    with (
        catalog_of("postgres-folder", tmp_path, postgres, s3_server) as properties,
        configured({"lab": properties}, tmp_path),
    ):
        yield open_warehouse("lab")


def test_postgres_that_restarts_is_waited_for(
    on_postgres: Warehouse, postgres: Postgres, intercept: Callable[..., None]
) -> None:
    write(on_postgres, batch([1]))
    restart = threading.Timer(1.0, postgres.start)

    def crash(commit: Callable[[], Any]) -> Any:
        postgres.stop(crash=True)
        restart.start()
        return commit()

    intercept(on_postgres, crash)
    write(on_postgres, batch([2, 3]))
    restart.join()
    assert numbers(on_postgres) == [2, 3]
    assert len(on_postgres.table("small").snapshots()) == 2


@pytest.mark.parametrize("taken", [True, False])
def test_a_connection_that_breaks_in_the_commit(
    on_postgres: Warehouse, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    write(on_postgres, batch([1]))
    dialect = on_postgres.catalog.engine.dialect  # type: ignore[attr-defined]
    own = dialect.do_commit
    broken: list[bool] = []

    def commit(connection: Any) -> None:
        if broken:
            own(connection)
            return
        broken.append(True)
        if taken:
            own(connection)
        connection.close()
        msg = "server closed the connection unexpectedly"
        raise psycopg2.OperationalError(msg)

    monkeypatch.setattr(dialect, "do_commit", commit)
    write(on_postgres, batch([2, 3]))
    assert broken
    assert numbers(on_postgres) == [2, 3]
    assert len(on_postgres.table("small").snapshots()) == 2


def test_postgres_that_is_gone_is_an_error_that_passes(
    on_postgres: Warehouse, postgres: Postgres
) -> None:
    write(on_postgres, batch([1]))
    postgres.stop()
    try:
        with pytest.raises(WarehouseUnavailableError, match=r"lab: .*small cannot be opened"):
            on_postgres.table("profiles.small")
        with pytest.raises(WarehouseUnavailableError, match="catalog lab does not answer"):
            open_warehouse("lab")
    finally:
        postgres.start()
    assert numbers(on_postgres) == [1]


@pytest.mark.parametrize("kind", ["slow_down", "reset", "lost", "short"])
def test_s3_that_fails_in_passing_is_asked_again(
    tmp_path: Path, faulty: FaultyS3, postgres: Postgres, kind: Any
) -> None:
    with (
        catalog_of("sqlite-s3", tmp_path, postgres, faulty) as properties,
        configured({"lab": properties}, tmp_path),
    ):
        warehouse = open_warehouse("lab")
        write(warehouse, batch([1]))
        faulty.play(*(Fault(kind, method=one, times=1) for one in ("GET", "HEAD", "PUT")))
        write(warehouse, batch([2, 3]))
        assert numbers(open_warehouse("lab")) == [2, 3]
        faulty.calm()
        assert len(warehouse.table("small").snapshots()) == 2


def test_s3_that_stays_away_is_an_error_that_passes_and_changes_nothing(
    tmp_path: Path, faulty: FaultyS3, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cp_assets.warehouse.catalog_properties._S3_ATTEMPTS", 2)
    monkeypatch.setattr("cp_assets.warehouse.s3_deletes._ATTEMPTS", 2)
    with (
        catalog_of("sqlite-s3", tmp_path, postgres, faulty) as properties,
        configured({"lab": properties}, tmp_path),
    ):
        warehouse = open_warehouse("lab")
        write(warehouse, batch([1]))
        faulty.play(Fault("slow_down"))
        with pytest.raises(WarehouseUnavailableError, match=f"{SPEC.name} d/b/P1") as raised:
            write(warehouse, batch([2, 3]))
        assert faulty.secret_key not in str(raised.value)
        faulty.calm()
        assert numbers(warehouse) == [1]
        write(warehouse, batch([2, 3]))
        assert numbers(warehouse) == [2, 3]
