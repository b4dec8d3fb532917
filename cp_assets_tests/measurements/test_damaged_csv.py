"""CSV exports with damaged bytes end in rows and rejections, or in an error that names the file."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cp_assets.datasets import TableFile
from cp_assets.errors import CpAssetsError
from cp_assets.measurements.chunks import TableChunk
from cp_assets.measurements.combined_csv import CombinedCsvTable
from cp_assets.measurements.in_carta import open_in_carta
from cp_assets.measurements.table_rules import TableName
from cp_assets_tests.measurements import test_combined_csv, test_in_carta


def _read(path: Path, kind: str, size: int) -> list[TableChunk]:
    file, table = TableFile(path, "Nuclei"), TableName(path.name, "Nuclei")
    if kind == "in carta":
        return list(open_in_carta(path, path.name, chunk_bytes=size).chunks(table, size))
    return list(CombinedCsvTable(file, table).chunks(chunk_bytes=size))


def _damage(whole: bytes, randomly: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(randomly.choice([1, 1, 2, 8])):
        at = randomly.randrange(len(data))
        wrong = bytes([data[at] ^ 1 << randomly.randrange(8)])
        data[at : at + 1] = randomly.choice([wrong, b"", b'"', b",", b"\n", b"\0", b"\xff"])
    return bytes(data)


@pytest.mark.parametrize("kind", ["in carta", "combined"])
@pytest.mark.parametrize("size", [100, 10**6])
def test_damaged_csv(tmp_path: Path, kind: str, size: int) -> None:
    write = test_in_carta.write if kind == "in carta" else test_combined_csv.write
    whole = write(tmp_path / "whole.csv").read_bytes()
    path = tmp_path / "damaged.csv"
    randomly = random.Random(11)  # noqa: S311
    good = 0
    errors = []
    for _ in range(120):
        path.write_bytes(_damage(whole, randomly))
        try:
            chunks = _read(path, kind, size)
        except CpAssetsError as error:
            errors.append(str(error))
            continue
        good += 1
        rows = [row for chunk in chunks for row in chunk.rows["source_row"].to_pylist()]
        left_out = [
            one.source_row
            for chunk in chunks
            for one in chunk.rejections
            if one.source_row is not None and one.outcome == "rejected"
        ]
        assert len(set(rows) | set(left_out)) == len(rows) + len(left_out)
    assert good > 20
    assert all(error.startswith("damaged.csv") for error in errors)
