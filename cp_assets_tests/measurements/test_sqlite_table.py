"""SQLite tables: exact values, faults in the books, and a database that is never changed."""

from __future__ import annotations

import hashlib
import math
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cp_assets.datasets import TableFile, databases
from cp_assets.datasets.presets import CELLPROFILER_SQLITE, CYTOMINER_SQLITE
from cp_assets.errors import InputChangedError, MeasurementError
from cp_assets.measurements.chunks import TableChunk
from cp_assets.measurements.sqlite_table import SqliteTable
from cp_assets.measurements.table_rules import TableName
from cp_assets_tests.dialects import write_table

KEYS = ("ImageNumber", "ObjectNumber")


def fill(path: Path, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> Path:
    with sqlite3.connect(path) as connection:
        write_table(connection, "Cells", columns, rows)
    connection.close()
    return path


def read(path: Path, compartment: str = "Cells", **options: object) -> TableChunk:
    """All pieces of the table as one."""
    name = TableName(f"{path.name}:{compartment}", compartment, CYTOMINER_SQLITE)
    pieces = list(SqliteTable(TableFile(path, compartment), name).chunks(**options))  # type: ignore[arg-type]
    rejections = tuple(rejection for piece in pieces for rejection in piece.rejections)
    return TableChunk(pa.concat_tables([piece.rows for piece in pieces]), rejections)


def faults(chunk: TableChunk) -> list[tuple[str, int | None]]:
    return [(rejection.reason, rejection.source_row) for rejection in chunk.rejections]


def state(folder: Path) -> dict[str, str]:
    """Hash of every file of a folder."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


FLOATS = [
    (1.5, 1.5),
    (7, 7.0),
    (None, None),
    ("nan", None),
    ("NaN", None),
    ("", None),
    ("None", None),
    ("2.25", 2.25),
    (" 1e-3 ", 0.001),
    ("inf", math.inf),
    ("-Infinity", -math.inf),
    (math.inf, math.inf),
    (-math.inf, -math.inf),
    (5e-324, 5e-324),
]


@pytest.mark.parametrize("chunk_bytes", [None, 1, 60])
@pytest.mark.parametrize("turned", [False, True])
def test_floats_of_every_stored_type(tmp_path: Path, chunk_bytes: int | None, turned: bool) -> None:
    values = FLOATS[::-1] if turned else FLOATS
    rows = [(1, number, value) for number, (value, _) in enumerate(values, 1)]
    path = fill(tmp_path / "p.sqlite", (*KEYS, "Cells_Area"), rows)
    chunk = read(path, chunk_bytes=chunk_bytes)
    assert chunk.rejections == ()
    assert chunk.rows["Area"].type == pa.float64()
    assert chunk.rows["Area"].to_pylist() == [value for _, value in values]
    assert chunk.rows["source_row"].to_pylist() == list(range(1, len(values) + 1))


@pytest.mark.parametrize("chunk_bytes", [None, 1])
def test_whole_numbers_are_exact(tmp_path: Path, chunk_bytes: int | None) -> None:
    stored = [2**53 + 1, -(2**63), 2**63 - 1, 12.0, "12", "12.0", str(2**53 + 1), None, "nan", -3]
    expected = [2**53 + 1, -(2**63), 2**63 - 1, 12, 12, 12, 2**53 + 1, None, None, -3]
    rows = [(1, number, value) for number, value in enumerate(stored, 1)]
    path = fill(tmp_path / "p.sqlite", (*KEYS, "Cells_Parent_Nuclei"), rows)
    chunk = read(path, chunk_bytes=chunk_bytes)
    assert chunk.rejections == ()
    assert chunk.rows["Parent_Nuclei"].to_pylist() == expected
    assert chunk.rows["Parent_Nuclei"].type == pa.int64()


@pytest.mark.parametrize("chunk_bytes", [None, 1])
def test_keys_stored_as_real_and_text(tmp_path: Path, chunk_bytes: int | None) -> None:
    rows = [(1.0, "1", 5.0), ("1", 2.0, 6.0), (1, 3, 7.0)]
    chunk = read(fill(tmp_path / "p.sqlite", (*KEYS, "X"), rows), chunk_bytes=chunk_bytes)
    assert chunk.rows.select([*KEYS]).to_pydict() == {
        "ImageNumber": [1, 1, 1],
        "ObjectNumber": [1, 2, 3],
    }


@pytest.mark.parametrize("chunk_bytes", [None, 1, 100])
def test_what_does_not_fit_costs_its_row(tmp_path: Path, chunk_bytes: int | None) -> None:
    columns = (*KEYS, "Cells_Parent_Nuclei", "Cells_Area", "Cells_Shape")
    rows = [
        (1, 1, 1, 1.0, 1.0),
        (1, 2, 1, "text", "more text"),
        (1, 3, 2.5, 1.0, 1.0),
        (1, None, 1, 1.0, 1.0),
        ("x", 5, 1, 1.0, 1.0),
        (1, 6, 1, b"\xff\x00", 1.0),
        (1, 1.5, 1, 1.0, 1.0),
        (1, 8, 1e300, 1.0, 1.0),
        (1, 9, 1, 9.0, 9.0),
    ]
    chunk = read(fill(tmp_path / "p.sqlite", columns, rows), chunk_bytes=chunk_bytes)
    assert chunk.rows["ObjectNumber"].to_pylist() == [1, 9]
    assert sorted(faults(chunk), key=lambda fault: fault[1] or 0) == [
        ("not_a_number", 2),
        ("not_a_whole_number", 3),
        ("no_key", 4),
        ("not_a_number", 5),
        ("not_a_number", 6),
        ("no_key", 7),
        ("not_a_whole_number", 8),
    ]
    told = {r.source_row: r.detail for r in chunk.rejections}
    assert told[2].startswith("Area is 'text': expected a number")
    assert told[3] == "Parent_Nuclei is 2.5: expected a whole number"
    assert {r.source_file for r in chunk.rejections} == {"p.sqlite:Cells"}


def test_an_image_row_outlives_a_value_that_does_not_fit(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "p.sqlite") as connection:
        rows = [(1, "odd", "a"), (2, 1.5, "b"), (3, 7, 5), (4, 8.0, 1.25)]
        write_table(connection, "Image", ("ImageNumber", "Frame_DNA", "Metadata_Note"), rows)
    connection.close()
    chunk = read(tmp_path / "p.sqlite", "Image", chunk_bytes=None)
    assert chunk.rows["Frame_DNA"].to_pylist() == [None, None, 7, 8]
    assert chunk.rows["Metadata_Note"].to_pylist() == ["a", "b", "5", "1.25"]
    assert [(r.reason, r.source_row, r.outcome) for r in chunk.rejections] == [
        ("not_a_number", 1, "incomplete"),
        ("not_a_whole_number", 2, "incomplete"),
    ]


NAMES = [
    'quo"te',
    'a""b',
    "semi;colon",
    "sp ace",
    "'); DROP TABLE Cells; --",
    "brac{e}s {0}",
    "Zelle_Fläche_²",
    "rowid",
    "n" * 200,
]


@pytest.mark.parametrize("table", ["Cells", *NAMES])
def test_names_of_any_kind_are_names(tmp_path: Path, table: str) -> None:
    path = tmp_path / "it's; 100% #1?.sqlite"
    with sqlite3.connect(path) as connection:
        rows = [(1, k, *(float(k) for _ in NAMES)) for k in (1, 2, 3)]
        write_table(connection, table, (*KEYS, *NAMES), rows)
        write_table(connection, "Other", ("a",), [(1,)])
    connection.close()
    before = state(tmp_path)
    name = TableName("p", "Cells", CYTOMINER_SQLITE)
    pieces = list(SqliteTable(TableFile(path, table), name).chunks(chunk_bytes=1))
    assert len(pieces) == 3
    found = pa.concat_tables([piece.rows for piece in pieces])
    assert found.column_names == [*KEYS, *NAMES, "source_row"]
    for column in NAMES:
        assert found[column].to_pylist() == [1.0, 2.0, 3.0]
    assert state(tmp_path) == before


def test_as_many_columns_as_sqlite_takes_equal_sqlite3(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    columns = (*KEYS, *(f"Cells_F_{n}" for n in range(1998)))
    rows = [(1, k, *random.standard_normal(1998).tolist()) for k in range(1, 8)]
    rows[4] = (1, 5, *["nan" if n % 7 == 0 else n / 3 for n in range(1998)])
    path = fill(tmp_path / "p.sqlite", columns, rows)
    found = read(path, chunk_bytes=2 * 8 * 2000).rows
    assert found.num_columns == 2001
    with sqlite3.connect(path) as connection:
        truth = connection.execute("SELECT * FROM Cells").fetchall()
    connection.close()
    for at, name in enumerate(found.column_names[:-1]):
        expected = [None if row[at] == "nan" else row[at] for row in truth]
        assert found[name].to_pylist() == expected


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE Cells (ImageNumber, ObjectNumber PRIMARY KEY, Area) WITHOUT ROWID",
        "CREATE VIEW Cells AS SELECT * FROM Stored",
        "CREATE TABLE Cells (ImageNumber, ObjectNumber, Area); CREATE INDEX i ON Cells "
        "(Area DESC, ImageNumber, ObjectNumber)",
    ],
    ids=["without row id", "view", "covering index"],
)
def test_tables_of_every_kind(tmp_path: Path, schema: str) -> None:
    with sqlite3.connect(tmp_path / "p.sqlite") as connection:
        connection.execute("CREATE TABLE Stored (ImageNumber, ObjectNumber, Area)")
        connection.executescript(schema)
        into = "Stored" if "VIEW" in schema else "Cells"
        rows = [(1, k, k * 1.5) for k in range(1, 8)]
        connection.executemany(f"INSERT INTO {into} VALUES (?, ?, ?)", rows)
    connection.close()
    chunk = read(tmp_path / "p.sqlite", chunk_bytes=3 * 8 * 3)
    assert chunk.rows["Area"].to_pylist() == [k * 1.5 for k in range(1, 8)]
    assert chunk.rows["source_row"].to_pylist() == list(range(1, 8))


def test_row_ids_with_gaps_and_below_zero(tmp_path: Path) -> None:
    path = fill(tmp_path / "p.sqlite", (*KEYS, "Area"), [])
    with sqlite3.connect(path) as connection:
        for row_id in (2**63 - 1, -(2**63), -5, 10**12, 3):
            connection.execute(
                "INSERT INTO Cells (rowid, ImageNumber, ObjectNumber, Area) VALUES (?, 1, 1, ?)",
                (row_id, float(row_id)),
            )
    connection.close()
    expected = [float(n) for n in sorted((2**63 - 1, -(2**63), -5, 10**12, 3))]
    for chunk_bytes in (1, 3 * 8 * 2, None):
        assert read(path, chunk_bytes=chunk_bytes).rows["Area"].to_pylist() == expected


def test_table_without_rows_is_in_the_books(tmp_path: Path) -> None:
    chunk = read(fill(tmp_path / "p.sqlite", (*KEYS, "Area"), []))
    assert faults(chunk) == [("header_only", None)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "p.sqlite:Cells has 0 bytes"),
        (b"ImageNumber,ObjectNumber\n1,1\n", "is no SQLite database"),
        (b"SQLite format 3\x00" + bytes(4080), "cannot be read as an SQLite database"),
    ],
    ids=["empty", "CSV", "only a header"],
)
def test_what_is_no_database_says_so(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "p.sqlite"
    path.write_bytes(content)
    with pytest.raises(MeasurementError, match=message):
        read(path)


def test_only_some_columns_of_a_table_of_several_compartments(tmp_path: Path) -> None:
    names = ("ImageNumber", "Cells_Number_Object_Number", "Cells_Area", "Nuclei_Area")
    path = fill(tmp_path / "p.sqlite", names, [(1, 1, 2.5, 1.0), (1, None, None, 2.0)])
    name = TableName("p.sqlite:Cells", "Cells", CELLPROFILER_SQLITE, ("Nuclei",))
    (chunk,) = SqliteTable(TableFile(path, "Cells"), name).chunks(only=("ImageNumber", "Area"))
    assert chunk.rows.to_pydict() == {"ImageNumber": [1], "Area": [2.5], "source_row": [1]}


def test_missing_table_and_missing_key_are_named(tmp_path: Path) -> None:
    path = fill(tmp_path / "p.sqlite", ("ImageNumber", "Area"), [(1, 2.0)])
    with pytest.raises(MeasurementError, match=r"p.sqlite:Cells has no column ObjectNumber"):
        read(path)
    with pytest.raises(MeasurementError, match="has no table Nuclei; it has: Cells"):
        read(path, "Nuclei")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A database of some hundred pages."""
    rows = [(1, k, *(k / n for n in range(1, 100))) for k in range(1, 1001)]
    return fill(tmp_path / "p.sqlite", (*KEYS, *(f"F_{n}" for n in range(1, 100))), rows)


def test_corrupt_pages_are_a_clear_error(large: Path) -> None:
    content = bytearray(large.read_bytes())
    content[8192:-4096] = bytes(len(content) - 8192 - 4096)
    large.write_bytes(content)
    with pytest.raises(MeasurementError, match="cannot be read as an SQLite database"):
        read(large)


def test_half_a_database_is_a_clear_error(large: Path) -> None:
    large.write_bytes(large.read_bytes()[: large.stat().st_size // 2])
    with pytest.raises(MeasurementError, match="cannot be read as an SQLite database"):
        read(large)


@pytest.mark.parametrize("missing", [1, 5, 4095, 4096])
@pytest.mark.parametrize("log", ["DELETE", "WAL"])
def test_database_without_its_end_is_a_clear_error(large: Path, missing: int, log: str) -> None:
    with sqlite3.connect(large) as connection:
        connection.execute(f"PRAGMA journal_mode = {log}")
    connection.close()
    size = large.stat().st_size
    large.write_bytes(large.read_bytes()[:-missing])
    told = f"expected {size} bytes in whole pages, found {size - missing}|database disk image is"
    with pytest.raises(MeasurementError, match=told):
        read(large)


def test_end_of_a_database_may_lie_in_its_log(large: Path) -> None:
    size = large.stat().st_size
    with writer(large, "PRAGMA journal_mode = WAL", "INSERT INTO Cells SELECT * FROM Cells"):
        assert large.stat().st_size == size
        assert read(large).rows.num_rows == 2000
        large.write_bytes(large.read_bytes()[:-1])
        with pytest.raises(MeasurementError, match=f"expected {size} bytes .* found {size - 1}"):
            read(large)


def test_file_that_grows_while_it_is_read(large: Path) -> None:
    name = TableName("p.sqlite:Cells", "Cells", CYTOMINER_SQLITE)
    pieces = SqliteTable(TableFile(large, "Cells"), name).chunks(chunk_bytes=10_000)
    next(pieces)
    with large.open("ab") as stream:
        stream.write(bytes(4096))
    with pytest.raises(InputChangedError, match=r"p.sqlite:Cells changed while it was read"):
        list(pieces)


WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement)
print("ready", flush=True)
for line in sys.stdin:
    connection.execute(line)
    print("done", flush=True)
"""


@contextmanager
def writer(path: Path, *statements: str) -> Iterator[subprocess.Popen[str]]:
    """Another program that holds the database open: locks are between programs."""
    command = [sys.executable, "-c", WRITER, str(path), *statements]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def say(process: subprocess.Popen[str], statement: str) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{statement}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


def test_locked_database_is_waited_for_and_then_a_clear_error(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "BUSY_SECONDS", 0.3)
    with (
        writer(large, "BEGIN EXCLUSIVE"),
        pytest.raises(MeasurementError, match=r"is locked by another program"),
    ):
        read(large)
    assert read(large).rows.num_rows == 1000


ADD = "INSERT INTO Cells (ImageNumber, ObjectNumber) VALUES (1, 2000)"


def test_write_ahead_log_of_a_running_writer_is_read(large: Path) -> None:
    with writer(large, "PRAGMA journal_mode = WAL", ADD):
        before = state(large.parent)
        assert set(before) == {"p.sqlite", "p.sqlite-wal", "p.sqlite-shm"}
        found = read(large)
        assert found.rows.num_rows == 1001
        assert state(large.parent) == before


def test_read_sees_nothing_that_is_written_meanwhile(large: Path) -> None:
    name = TableName("p.sqlite:Cells", "Cells", CYTOMINER_SQLITE)
    with writer(large, "PRAGMA journal_mode = WAL", ADD) as process:
        pieces = SqliteTable(TableFile(large, "Cells"), name).chunks(chunk_bytes=80_000)
        rows = [next(pieces).rows.num_rows]
        say(process, "INSERT INTO Cells (ImageNumber, ObjectNumber) VALUES (1, 2001)")
        say(process, "DELETE FROM Cells WHERE ObjectNumber = 900")
        with pytest.raises(InputChangedError, match="changed while it was read"):
            # What comes before the error is kept.
            rows.extend(piece.rows.num_rows for piece in pieces)
        assert sum(rows) == 1001


def test_write_ahead_mode_without_a_log_leaves_nothing_behind(large: Path) -> None:
    connection = sqlite3.connect(large)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(ADD)
    connection.commit()
    connection.close()
    before = state(large.parent)
    assert set(before) == {"p.sqlite"}
    assert read(large).rows.num_rows == 1001
    assert state(large.parent) == before


def test_link_to_a_database_with_a_running_writer(large: Path, tmp_path: Path) -> None:
    link = tmp_path / "links" / "q.sqlite"
    link.parent.mkdir()
    link.symlink_to(large)
    name = TableName("q.sqlite:Cells", "Cells", CYTOMINER_SQLITE)
    with writer(large, "PRAGMA journal_mode = WAL", ADD) as process:
        before = state(large.parent)
        pieces = SqliteTable(TableFile(link, "Cells"), name).chunks(chunk_bytes=80_000)
        next(pieces)
        say(process, ADD)
        with pytest.raises(InputChangedError, match="changed while it was read"):
            list(pieces)
        assert set(state(large.parent)) == set(before)
    assert [path.name for path in link.parent.iterdir()] == ["q.sqlite"]


def test_journal_of_a_writer_that_was_killed_is_left_alone(large: Path) -> None:
    with writer(
        large,
        "PRAGMA cache_size = 1",
        "BEGIN",
        "UPDATE Cells SET F_5 = 'half of it'",
    ):
        pass
    before = state(large.parent)
    assert "p.sqlite-journal" in before
    told = (
        r"p.sqlite:Cells has a journal \(p.sqlite-journal\) of a writer that ended early: .* with: "
    )
    with pytest.raises(MeasurementError, match=told) as error:
        read(large)
    assert state(large.parent) == before
    connection = sqlite3.connect(large)
    connection.execute(str(error.value).split("'")[-2])
    connection.close()
    assert read(large).rows.num_rows == 1000


def test_log_without_its_index_is_a_clear_error(large: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "p.sqlite"
    copy.parent.mkdir()
    with writer(large, "PRAGMA journal_mode = WAL", ADD):
        for end in ("", "-wal"):
            (copy.parent / f"p.sqlite{end}").write_bytes(
                (large.parent / f"p.sqlite{end}").read_bytes()
            )
    before = state(copy.parent)
    with pytest.raises(MeasurementError, match=r"write-ahead log .* without its index"):
        read(copy)
    assert state(copy.parent) == before


def test_reading_leaves_the_folder_as_it_was(large: Path) -> None:
    before = state(large.parent)
    read(large, chunk_bytes=1000)
    assert state(large.parent) == before
