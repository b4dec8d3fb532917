"""Floor of the measurement assets: a typed CSV reader and a Parquet write of the same columns."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from benchmarks.context import progress
from benchmarks.profile_data import TABLES
from cp_assets.measurements.columns import column_kind
from cp_assets.measurements.joined_columns import JOINED_PROFILES

TEXT_AT_ONCE = 16 * 2**20
"""Bytes of CSV text that are gathered for one row group: some 1,000 rows of 2,000 columns."""

_NULLS = ["", "nan", "NaN"]

Columns = dict[str, bool]
"""Name of a column -> whether it is text. Numbers are float64: whole ones are written 12.0 too."""

Reader = Callable[[Sequence[Path], Columns], Iterator[pa.Table]]
"""Reads files of one header; a table it gives is written as one row group."""


@dataclass(frozen=True)
class Floor:
    """One way to read and write.

    Attributes
    ----------
    tables_at_once
        Tables that are in work at a time, each in a thread of its own.
    """

    name: str
    read: Reader
    tables_at_once: int = 1

    def run(self, root: Path, out: Path) -> int:
        """Write a Parquet file a table below ``out``; the number of rows of all."""
        # The widest first: it would be waited for alone.
        tables = sorted(TABLES, key=lambda name: name == "Image")
        with ThreadPoolExecutor(self.tables_at_once) as pool:
            return sum(pool.map(lambda name: self._table(root, name, out), tables))

    def _table(self, root: Path, name: str, out: Path) -> int:
        files = sorted(root.rglob(f"{name}.csv"))
        with files[0].open(newline="") as stream:
            header = next(csv.reader(stream))
        columns = {column: column_kind(column) == "string" for column in header}
        writer, rows = None, 0
        for table in self.read(files, columns):
            writer = writer or pq.ParquetWriter(
                out / f"{name}.parquet", table.schema, compression="zstd",
                compression_level=JOINED_PROFILES.zstd_level,
                use_dictionary=False, write_statistics=False,
            )  # fmt: skip
            writer.write_table(table, row_group_size=table.num_rows)
            rows += table.num_rows
        if writer:
            writer.close()
        return rows


def fastest(floors: Sequence[Floor], root: Path, out: Path) -> tuple[Floor, str]:
    """The fastest of one trial each on these very files, and what each took.

    Raises
    ------
    AssertionError
        If one reads another number of rows.
    """
    out.mkdir()
    took: dict[Floor, float] = {}
    rows: dict[str, int] = {}
    for floor in floors:
        start = time.perf_counter()
        rows[floor.name] = floor.run(root, out)
        took[floor] = time.perf_counter() - start
        progress(f"floor with {floor.name}: {took[floor]:.2f} s")
    if len(set(rows.values())) != 1:
        msg = f"rows read by reader: {rows}; expected one number: the floor would be wrong"
        raise AssertionError(msg)
    tried = ", ".join(f"{floor.name} {time:.2f} s" for floor, time in took.items())
    return min(took, key=lambda floor: took[floor]), tried


def pyarrow_gathered(files: Sequence[Path], columns: Columns) -> Iterator[pa.Table]:
    """Files behind each other as one text: a column's fixed cost is paid once for many files.

    Raises
    ------
    AssertionError
        If the files have not one header.
    """
    texts: list[memoryview] = []
    for at, file in enumerate(files):
        text = file.read_bytes()
        start = text.index(b"\n") + 1
        if at == 0:
            header = text[:start]
        if text[:start] != header:
            msg = f"{file} has another header than {files[0]}: the floor cannot gather them"
            raise AssertionError(msg)
        texts.append(memoryview(text)[start:])
        size = sum(map(len, texts))
        if size >= TEXT_AT_ONCE or at == len(files) - 1:
            yield pacsv.read_csv(
                pa.BufferReader(b"".join(texts)),
                read_options=pacsv.ReadOptions(
                    use_threads=False, block_size=size, column_names=list(columns)
                ),
                convert_options=_arrow_types(columns),
            )
            texts = []


def pyarrow_by_file(
    files: Sequence[Path], columns: Columns, *, threads: bool
) -> Iterator[pa.Table]:
    """Every file by itself, gathered afterwards; a file is one block."""
    options = pacsv.ReadOptions(use_threads=threads, block_size=4 * TEXT_AT_ONCE)
    types = _arrow_types(columns)
    read: list[pa.Table] = []
    for at, file in enumerate(files):
        read.append(pacsv.read_csv(file, read_options=options, convert_options=types))
        if sum(table.nbytes for table in read) >= TEXT_AT_ONCE or at == len(files) - 1:
            yield pa.concat_tables(read).combine_chunks()
            read = []


def _arrow_types(columns: Columns) -> pacsv.ConvertOptions:
    types = {name: pa.string() if text else pa.float64() for name, text in columns.items()}
    return pacsv.ConvertOptions(column_types=types, null_values=_NULLS)


def polars_scan(files: Sequence[Path], columns: Columns) -> Iterator[pa.Table]:
    """All files in one scan, in polars' pool of threads."""
    types = {name: pl.String if text else pl.Float64 for name, text in columns.items()}
    rows = pl.scan_csv(list(files), schema=types, null_values=_NULLS).collect()
    yield rows.to_arrow().combine_chunks()


def duckdb_read(files: Sequence[Path], columns: Columns, *, threads: int) -> Iterator[pa.Table]:
    """All files in one `read_csv` with given types."""
    types = {name: "VARCHAR" if text else "DOUBLE" for name, text in columns.items()}
    with duckdb.connect(config={"threads": threads}) as connection:
        rows = connection.read_csv(
            [str(file) for file in files],  # type: ignore[arg-type]  # the stub lacks lists
            columns=types, header=True, sep=",", quotechar='"',
            na_values=_NULLS, auto_detect=False,
        )  # fmt: skip
        yield rows.to_arrow_table().combine_chunks()


ONE_THREAD = (
    Floor("pyarrow, files gathered as one text", pyarrow_gathered),
    Floor("pyarrow, file by file", partial(pyarrow_by_file, threads=False)),
    Floor("DuckDB", partial(duckdb_read, threads=1)),
)

# A thread a core is two on the machines these goals are measured on.
TWO_THREADS = (
    Floor("pyarrow, files gathered as one text, two tables at a time", pyarrow_gathered, 2),
    Floor("pyarrow, file by file, a thread a core", partial(pyarrow_by_file, threads=True)),
    Floor("polars, a thread a core", polars_scan),
    Floor("DuckDB, two threads", partial(duckdb_read, threads=2)),
)
