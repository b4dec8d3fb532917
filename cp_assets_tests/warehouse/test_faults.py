"""What catalog and storage raise is told apart: what passes, what does not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg2
import pytest
from pyiceberg.exceptions import CommitFailedException, ServiceUnavailableError
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from cp_assets.errors import WarehouseUnavailableError, WarehouseWriteError
from cp_assets.warehouse.faults import passes
from cp_assets.warehouse.warehouse import Warehouse
from cp_assets.warehouse.writer import write_partition
from cp_assets_tests.warehouse.plates import SPEC, batch, numbers, scope, write


def of_sqlite(url: str, statement: str) -> DBAPIError:
    with pytest.raises(DBAPIError) as caught, create_engine(url).begin() as connection:
        connection.execute(text(statement))
    return caught.value


def test_locked_database_passes_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("CREATE TABLE t (x)")
    holder.execute("BEGIN EXCLUSIVE")
    url = f"sqlite:///{file}?timeout=0"
    assert passes(of_sqlite(url, "INSERT INTO t VALUES (1)"))
    holder.execute("COMMIT")
    holder.close()
    assert not passes(of_sqlite(url, "INSERT INTO nowhere VALUES (1)"))
    assert not passes(of_sqlite(f"sqlite:///{tmp_path}/no/folder.db", "SELECT 1"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OperationalError("", {}, psycopg2.OperationalError("server closed the connection")), True),
        (ProgrammingError("", {}, psycopg2.ProgrammingError("no such relation")), False),
        (CommitFailedException("others were faster"), True),
        (ServiceUnavailableError("503"), True),
        (ConnectionResetError("reset"), True),
        (OSError("When uploading: AWS Error SLOW_DOWN during PutObject: reduce your rate"), True),
        (OSError("AWS Error UNKNOWN (HTTP status 503) during CreateMultipartUpload"), True),
        (OSError("AWS Error ACCESS_DENIED during PutObject: Access Denied"), False),
        (OSError(28, "No space left on device"), False),
        (ValueError("HTTP status 503"), False),
    ],
    ids=str,
)
def test_errors_of_others_are_told_apart(error: Exception, expected: bool) -> None:
    assert passes(error) is expected


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ConnectionResetError("reset by peer"), WarehouseUnavailableError),
        (OSError(28, "No space left on device"), WarehouseWriteError),
    ],
)
def test_write_says_whether_it_may_be_run_again(
    warehouse: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    raised: OSError,
    expected: type[Exception],
) -> None:
    write(warehouse, batch([1, 2]))

    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("cp_assets.warehouse.files.pq.ParquetWriter.write_table", fail)
    with pytest.raises(expected, match="still holds what it held before") as caught:
        write_partition(warehouse, SPEC, scope(), [batch([3])], "f")
    assert type(caught.value) is expected
    assert numbers(warehouse) == [1, 2]
