"""What is known of a partition is read once, and is what the table holds now."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyiceberg.manifest import ManifestFile

from cp_assets.warehouse.bounded_cache import BoundedCache
from cp_assets.warehouse.partitions import ScopedManifest
from cp_assets.warehouse.rows import PartitionRows
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.warehouse.plates import SPEC, batch, scope, write


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often manifests and footers are read."""
    counts: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        original = getattr(owner, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, counted)

    count(ManifestFile, "fetch_manifest_entry")
    count(pq, "read_metadata")
    return counts


def test_steps_of_a_plate_read_manifests_and_footers_once(
    warehouse: Warehouse, reads: Counter[str]
) -> None:
    write(open_warehouse(warehouse.name), batch([1, 2]), fingerprint="one")
    reads.clear()
    for _ in range(3):
        rows = PartitionRows(warehouse, SPEC.name, scope())
        assert rows.state.fingerprint == "one"
        assert rows.columns() == [field.name for field in SPEC.schema]
        assert sum(batch.num_rows for batch in rows.batches()) == 2
    assert reads == {"fetch_manifest_entry": 1, "read_metadata": 1}


def test_a_partition_is_as_the_table_has_it_now(warehouse: Warehouse) -> None:
    other = open_warehouse(warehouse.name)
    for number, plate in enumerate(["P1", "P2", "P1"]):
        write(other, batch([number], plate), plate=plate, fingerprint=str(number))
        rows = PartitionRows(warehouse, SPEC.name, scope(plate))
        assert rows.state.fingerprint == str(number)
    assert PartitionRows(warehouse, SPEC.name, scope("P2")).state.fingerprint == "1"
    assert not PartitionRows(warehouse, SPEC.name, scope("P3")).exists


def test_a_partition_is_right_where_nothing_can_be_kept(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for cache in ("_lists", "_entries", "_footers"):
        monkeypatch.setattr(warehouse.partitions, cache, BoundedCache(1))
    for number in (1, 2):
        write(warehouse, batch([number]), fingerprint=str(number))
        assert PartitionRows(warehouse, SPEC.name, scope()).state.fingerprint == str(number)


def test_what_a_commit_wrote_is_known_as_it_would_be_read(
    warehouse: Warehouse, reads: Counter[str]
) -> None:
    for number, plate in enumerate(["P1", "P2", "P1"]):
        write(warehouse, batch([number], plate), plate=plate)
    table = warehouse.table("small")
    reads.clear()
    known = warehouse.partitions.manifests(table, {})
    assert not reads
    read = open_warehouse(warehouse.name).partitions.manifests(table, {})
    assert reads == {"fetch_manifest_entry": len(read)}
    assert [_plain(one) for one in known] == [_plain(one) for one in read]


def _plain(one: ScopedManifest) -> object:
    entries = [
        (*entry._data[:4], entry.data_file._data, entry.data_file.spec_id)
        for entry in (*one.inside, *one.outside)
    ]
    return one.manifest._data, entries
