from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cp_assets.datasets.model import TableFile
from cp_assets.measurements.columns import SOURCE_ROW
from cp_assets.measurements.csv_table import CsvTable
from cp_assets.measurements.csv_together import read_together
from cp_assets.measurements.table_rules import TableName

HEADER = b"ImageNumber,ObjectNumber,AreaShape_Area,Metadata_Note\n"


def tables(folder: Path, texts: list[bytes]) -> list[CsvTable]:
    found = []
    for number, text in enumerate(texts):
        path = folder / f"{number}.csv"
        path.write_bytes(text)
        found.append(CsvTable(TableFile(path), TableName(path.name, "Cells")))
    return found


def one_by_one(these: list[CsvTable]) -> tuple[list[pa.Table], int]:
    """What each file gives by itself, and how much there is to be recorded of them."""
    chunks = [list(table.chunks(chunk_bytes=None)) for table in these]
    rows = [pa.concat_tables([one.rows for one in some]) for some in chunks]
    return rows, sum(len(one.rejections) for some in chunks for one in some)


def test_files_of_one_header_come_with_their_own_row_numbers(tmp_path: Path) -> None:
    these = tables(
        tmp_path, [HEADER + b"1,1,0.5,a\n1,2,1.5,\n", HEADER + b"1,7,2.5,c", HEADER + b"2,1,,d\n"]
    )
    found = read_together(these)
    assert found is not None
    rows, counts = found
    assert counts == [2, 1, 1]
    assert rows[SOURCE_ROW].to_pylist() == [1, 2, 1, 1]
    assert rows["ObjectNumber"].to_pylist() == [1, 2, 7, 1]
    assert rows["Metadata_Note"].to_pylist() == ["a", None, "c", "d"]
    assert rows["AreaShape_Area"].to_pylist() == [0.5, 1.5, 2.5, None]


LINES = st.lists(
    st.sampled_from(
        [
            b"1,1,0.5,a", b"1,2,1e3,b", b"2,3.0,nan,", b"", b" ", b"1,1,0.5", b"1,1,0.5,a,b",
            b'1,2,3,"a"', b'1,2,3,"a\nb"', b"1,2,3,a\rb", b"1,x,3,a", b",1,2,c", b"1.5,1,2,c",
            b"1,2,zero,c", b"1,0x10,2,c", b"99999999999999999999,1,2,c",
        ]
    ),
    max_size=4,
)  # fmt: skip
TEXTS = st.builds(
    lambda lines, end, last: end.join(lines) + (end if last else b""),
    LINES,
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.booleans(),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS, min_size=2, max_size=4))
def test_what_is_read_together_is_what_each_file_gives(tmp_path: Path, texts: list[bytes]) -> None:
    """Either file by file and value by value the same, or nothing at all."""
    these = tables(tmp_path, [HEADER + text for text in texts])
    found = read_together(these)
    if found is None:
        return
    rows, counts = found
    alone, recorded = one_by_one(these)
    assert recorded == 0
    assert counts == [one.num_rows for one in alone]
    assert rows.equals(pa.concat_tables(alone))


@pytest.mark.parametrize(
    "texts",
    [
        [HEADER, HEADER + b"1,1,1,a\n"],
        [b"", HEADER + b"1,1,1,a\n"],
        [HEADER + b"1,1,1,a\n", b"ObjectNumber,ImageNumber,AreaShape_Area,Metadata_Note\n1,2,3,a"],
        [HEADER + b"1,1,1,a\n", HEADER + b"1,1,1,a\n\n1,1,1,a\n"],
        [HEADER + b"1,1,1,a\n\n", HEADER + b"1,1,1,a\r1,1,1,a\n"],
        [HEADER + b"1,1,1,a\n", HEADER + b"1,1,many,a\n"],
        [HEADER + b"1,1,1,a\n", HEADER + b"1,1,1,\xff\n"],
    ],
    ids=["no rows", "0 bytes", "order", "empty line", "lines even out", "row at fault", "no text"],
)
def test_what_is_not_plain_is_left_to_be_read_alone(tmp_path: Path, texts: list[bytes]) -> None:
    assert read_together(tables(tmp_path, texts)) is None
