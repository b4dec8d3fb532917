"""SQLite databases of measurements: opened to be read, and never changed.

A database is read in one transaction a table, so that what a writer adds meanwhile is not seen. In
mode ``ro`` SQLite writes nothing into the file itself, but of a database with a write-ahead log it
would leave files behind; how that is kept from happening is said at `_uri`. One of a store
is fetched to be read.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
from adbc_driver_manager import Error as DatabaseError

from cp_assets.datasets.fingerprints import write_ahead_log
from cp_assets.datasets.listing import existing_file
from cp_assets.datasets.spooling import without_middle
from cp_assets.errors import InputChangedError, MeasurementError
from cp_assets.stores import ObjectPath, state_of
from cp_assets.stores.spool import spooled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from adbc_driver_sqlite import dbapi

    from cp_assets.stores import Place, State

    Answer = TypeVar("Answer")

BUSY_SECONDS = 5.0
"""How long a locked database is waited for."""

_MAGIC = b"SQLite format 3\x00"
_READ_VERSION = 19
_WAL = 2
_PAGES = "SELECT page_count * page_size AS size, page_size FROM pragma_page_count, pragma_page_size"


class Database:
    """One database in one read transaction.

    Not for several threads at once.
    """

    def __init__(self, connection: dbapi.Connection) -> None:
        self._connection = connection

    def query(self, sql: str, batch_rows: int = 65536) -> pa.Table:
        """All rows of a query; types are those of its first row where ``batch_rows`` hold all."""
        options = {"adbc.sqlite.query.batch_rows": batch_rows}
        with self._connection.cursor(adbc_stmt_kwargs=options) as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table()

    def tables(self) -> dict[str, str]:
        """Name -> ``table`` or ``view``, SQLite's own left out."""
        sql = "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
        rows = self.query(sql).to_pylist()
        return {r["name"]: r["type"] for r in rows if not r["name"].startswith("sqlite_")}

    def columns(self, table: str) -> list[str]:
        """Names of a table's columns, in order."""
        text = table.replace("'", "''")
        # The names as rows: a result of 2,000 columns takes 20 ms, however few rows it has.
        sql = f"SELECT name FROM pragma_table_xinfo('{text}') WHERE hidden <> 1 ORDER BY cid"
        found: list[str] = self.query(sql)["name"].to_pylist()
        return found


def quoted(name: str) -> str:
    """A name as SQL writes identifiers: whatever it holds, it stays a name."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


@contextmanager
def open_database(path: Place, name: str) -> Iterator[Database]:
    """Open a database to read it, and hold it to be the same afterwards.

    Parameters
    ----------
    name
        The file as errors name it.

    Raises
    ------
    MeasurementError
        If the file is empty, locked for longer than `BUSY_SECONDS`, cut short, corrupt or no
        database.
    InputChangedError
        If it changes while it is read.
    """
    if isinstance(path, ObjectPath):
        _refuse_log(path, name)
        with spooled(path) as file, open_database(file, name) as database:
            yield database
        return
    # Imported here: it loads pandas and polars, which most plates have no need of.
    from adbc_driver_sqlite import dbapi  # noqa: PLC0415

    before = database_state(path)
    uri = _uri(path, name)
    try:
        with dbapi.connect(uri, autocommit=True) as connection:
            with connection.cursor() as cursor:
                # The driver's own wait is not known here; a wait of some seconds is.
                cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
                cursor.execute("BEGIN")
                # The transaction begins with the first read.
                cursor.execute("SELECT count(*) FROM sqlite_master")
                cursor.fetchall()
            database = Database(connection)
            _hold_whole(database, path, name)
            yield database
    except (DatabaseError, pa.ArrowException, OSError) as error:
        if database_state(path) != before:
            raise InputChangedError(_changed(name)) from error
        raise MeasurementError(_told(path, name, str(error))) from error
    if database_state(path) != before:
        raise InputChangedError(_changed(name))


def _refuse_log(path: ObjectPath, name: str) -> None:
    """Refuse a database of a store with rows that are not in its file yet."""
    log = existing_file(write_ahead_log(path))
    if log is not None and log.stat().st_size:
        msg = (
            f"{name} was copied with a write-ahead log ({log.name}), in which rows may lie. Finish "
            f"it where it was copied from, with: sqlite3 {path.name} "
            "'PRAGMA wal_checkpoint(TRUNCATE)', and copy it again"
        )
        raise MeasurementError(msg)


def ask_schema(path: Place, name: str, question: Callable[[Database], Answer]) -> Answer:
    """Ask a database about its tables and columns, not about its rows.

    Of a large one of a store not all is fetched, unless its schema lies elsewhere than usual.

    Raises
    ------
    MeasurementError, InputChangedError
        As `open_database`.
    """
    if isinstance(path, ObjectPath):
        with without_middle(path) as part, suppress(MeasurementError):
            if part is not None:
                with open_database(part, name) as database:
                    return question(database)
    with open_database(path, name) as database:
        return question(database)


@contextmanager
def unchanged_databases(paths: Iterable[Place]) -> Iterator[None]:
    """Hold databases to be the same before and after several of their tables are read.

    Raises
    ------
    InputChangedError
        If one is not: its tables may not belong together.
    """
    before = {path: database_state(path) for path in paths}
    yield
    for path, state in before.items():
        if database_state(path) != state:
            raise InputChangedError(_changed(str(path)))


def database_state(path: Place) -> tuple[State, ...]:
    """Size and time of change of a database, and of its write-ahead log where there is one."""
    if isinstance(path, ObjectPath):
        return (state_of(path),)
    log = write_ahead_log(path)
    return (state_of(path), *((state_of(log),) if log.is_file() else ()))


def is_other_programs(path: Place) -> bool:
    """Whether a ``.db`` is none by its name or content; one that is empty or cut short may be."""
    if path.suffix.lower() != ".db":
        return False
    try:
        with path.open("rb") as stream:
            start = stream.read(len(_MAGIC))
    except OSError:
        return False
    return path.name.lower() == "thumbs.db" or not _MAGIC.startswith(start)


def _uri(path: Path, name: str) -> str:
    """How to open a database so that nothing is written beside it.

    Without a write-ahead log: ``ro``. With an empty one, or none where the header speaks of one,
    all is in the file: SQLite would still make a log and its index and leave them, which
    ``immutable`` keeps it from; that nobody writes meanwhile is seen by the states before and
    after. With a log and its index: ``readonly_shm`` reads both and writes neither. With a log
    and no index, SQLite would have to make one.
    """
    real = path.resolve()
    with real.open("rb") as stream:
        header = stream.read(100)
    if not header:
        msg = f"{name} has 0 bytes; expected an SQLite database. Copy or export it again"
        raise MeasurementError(msg)
    if not header.startswith(_MAGIC) or len(header) <= _READ_VERSION:
        msg = f"{name} is no SQLite database; expected one, as its name ends"
        raise MeasurementError(msg)
    uri = f"{real.as_uri()}?mode=ro"
    if header[_READ_VERSION] != _WAL:
        return uri
    log = write_ahead_log(real)
    if not log.is_file() or not log.stat().st_size:
        return f"{uri}&immutable=1"
    if real.with_name(f"{real.name}-shm").is_file():
        return f"{uri}&readonly_shm=1"
    msg = (
        f"{name} has a write-ahead log ({log.name}) without its index ({real.name}-shm): its "
        "writer ended early, or it was copied while it was written. Finish it with: sqlite3 "
        f"{real.name} 'PRAGMA wal_checkpoint(TRUNCATE)'"
    )
    raise MeasurementError(msg)


def _hold_whole(database: Database, path: Path, name: str) -> None:
    """Hold that a file has all of its pages: SQLite reads what its last one lacks as zeros.

    Pages in a write-ahead log may lie beyond the file's end, but the file ends with a page.

    Raises
    ------
    MeasurementError
        If the file is cut short.
    """
    # Not read from the file: to close it would drop SQLite's lock.
    (pages,) = database.query(_PAGES).to_pylist()
    log, size = write_ahead_log(path), path.stat().st_size
    has_log = log.is_file() and log.stat().st_size > 0
    expected = size - size % -pages["page_size"] if has_log else pages["size"]
    if size < expected:
        msg = (
            f"{name} is cut short: expected {expected} bytes in whole pages, found {size}; copy "
            "or export it again"
        )
        raise MeasurementError(msg)


def _changed(name: str) -> str:
    return f"{name} changed while it was read; run the plate again when its writer is finished"


def _told(path: Path, name: str, fault: str) -> str:
    real = path.resolve()
    journal = real.with_name(f"{real.name}-journal")
    if "readonly" in fault and journal.is_file():
        return (
            f"{name} has a journal ({journal.name}) of a writer that ended early: SQLite must take "
            f"back what it wrote, and cp_assets writes nothing. Do so with: sqlite3 {real.name} "
            "'SELECT count(*) FROM sqlite_master'"
        )
    if "locked" in fault or "busy" in fault:
        return (
            f"{name} is locked by another program for more than {BUSY_SECONDS:g} seconds "
            f"({fault}); run the plate again when it is finished"
        )
    return (
        f"{name} cannot be read as an SQLite database ({fault}); if it was written or copied "
        "while its writer ran, copy or export it again"
    )
