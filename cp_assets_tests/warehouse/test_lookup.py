from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cp_assets.errors import QueryError
from cp_assets.warehouse.bounded_cache import BoundedCache
from cp_assets.warehouse.lookup import OBJECT_ID
from cp_assets.warehouse.spec import TableSpec, column
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.warehouse.plates import SPEC, batch, write

OBJECTS = dataclasses.replace(
    SPEC,
    schema=pa.schema([*SPEC.schema, column(OBJECT_ID, pa.string(), "an object")]),
    # Each batch becomes a row group.
    row_group_bytes=1,
    lookup_columns=(OBJECT_ID,),
)


def put(
    warehouse: Warehouse,
    groups: Sequence[Sequence[str | None]],
    plate: str = "P1",
    spec: TableSpec = OBJECTS,
) -> None:
    """Write row groups of objects; the rows are numbered through."""
    batches, start = [], 0
    for ids in groups:
        numbers = range(start, start + len(ids))
        batches.append(batch(numbers, plate, **{OBJECT_ID: pa.array(ids, pa.string())}))
        start += len(ids)
    write(warehouse, *batches, plate=plate, spec=spec)


def found(warehouse: Warehouse, **selection: object) -> list[int]:
    rows: list[int] = warehouse.read_table("small", **selection)["number"].to_pylist()
    return rows


@pytest.fixture
def cells(warehouse: Warehouse) -> Warehouse:
    """P1: three row groups, `b` in two of them, rows without an object; P2: one row group."""
    put(warehouse, [["a", "a", "b"], ["b", "c", None], [None, "it's"]])
    put(warehouse, [["x", "b"]], "P2")
    return warehouse


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"object_id": "a"}, [0, 1]),
        ({"object_id": "b"}, [2, 3, 1]),
        ({"object_id": ["a", "x"]}, [0, 1, 0]),
        ({"object_id": "none"}, []),
        ({"object_id": []}, []),
        ({"object_id": "it's"}, [7]),
        ({"object_id": "b", "plate": "P2"}, [1]),
        ({"object_id": "b", "plate": []}, []),
        ({"object_id": "b", "well": "a3"}, [2]),
        ({"object_id": "b", "site": 2}, [3, 1]),
        ({"object_id": "b", "limit": 2}, [2, 3]),
        ({"object_id": "b", "where": "number > 2"}, [3]),
        ({"where": "Metadata_ObjectID = 'b'"}, [2, 3, 1]),
        ({"where": " \"metadata_objectid\"='b' ", "plate": "P1"}, [2, 3]),
        ({"where": "Metadata_ObjectID = 'b' OR number = 0"}, [0, 2, 3, 0, 1]),
        ({"where": "Metadata_ObjectID = 'a'", "object_id": "b"}, []),
        ({"where": "Metadata_ObjectID IS NULL"}, [5, 6]),
    ],
    ids=str,
)
def test_read_table_of_objects(
    cells: Warehouse, selection: dict[str, object], expected: list[int]
) -> None:
    assert found(cells, **selection) == expected
    assert found(cells, **selection) == expected, "from what was kept of the first time"


def test_read_table_of_objects_has_the_columns_asked_for(cells: Warehouse) -> None:
    rows = cells.read_table("small", object_id="c", columns=["number", OBJECT_ID])
    assert rows.to_pylist() == [{"number": 4, OBJECT_ID: "c"}]
    everything = cells.read_table("small", object_id="c")
    assert everything.schema.names == cells.read_table("small").schema.names


@pytest.mark.parametrize(
    ("selection", "told"),
    [
        ({"columns": ["numero"]}, "numero"),
        ({"limit": -1}, "expected a number of rows"),
        ({"where": "numero = 1"}, "numero"),
    ],
    ids=str,
)
def test_read_table_of_objects_that_does_not_fit(
    cells: Warehouse, selection: dict[str, object], told: str
) -> None:
    with pytest.raises(QueryError, match=told):
        cells.read_table("small", object_id="a", **selection)


def test_read_table_of_objects_where_there_are_none(warehouse: Warehouse) -> None:
    write(warehouse, batch([1, 2]))
    with pytest.raises(QueryError, match=OBJECT_ID):
        warehouse.read_table("small", object_id="a")


def test_read_table_of_objects_where_a_file_lacks_the_column(warehouse: Warehouse) -> None:
    write(warehouse, batch([1, 2]))
    put(warehouse, [["a", "b"]], "P2", dataclasses.replace(OBJECTS, schema=SPEC.schema))
    assert found(warehouse, object_id="b") == [1]


def test_lookup_reads_only_the_row_groups_that_hold_the_object(cells: Warehouse) -> None:
    table = cells.table("small")
    counts = {
        name: cells.files.dataset(table, objects=[name]).to_table().num_rows
        for name in ("a", "b", "c")
    }
    assert counts == {"a": 3, "b": 8, "c": 3}
    assert cells.files.dataset(table, {"plate_id": ("P2",)}, ["a"]).to_table().num_rows == 0


def test_lookup_sees_a_new_snapshot_at_once(cells: Warehouse) -> None:
    assert found(cells, object_id="c") == [4]
    put(open_warehouse(cells.name), [["new"], ["c"]])
    assert found(cells, object_id="c") == [1]
    assert found(cells, object_id="new") == [0]
    assert found(cells, object_id="a") == []


def test_lookup_is_right_where_nothing_can_be_kept(
    cells: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells.files, "_indexes", BoundedCache(1))
    monkeypatch.setattr(cells.files, "_footers", BoundedCache(1))
    for _ in range(2):
        assert found(cells, object_id="b") == [2, 3, 1]


def test_files_have_bloom_filters_of_the_lookup_columns(cells: Warehouse) -> None:
    path = next(iter(cells.table("small").scan().plan_files())).file.file_path
    footer = pq.read_metadata(path.removeprefix("file://"))
    columns = [footer.row_group(0).column(i) for i in range(footer.num_columns)]
    filtered = [c.path_in_schema for c in columns if c.bloom_filter_offset is not None]
    assert filtered == [OBJECT_ID]


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(groups=st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4), min_size=1))
def test_lookup_finds_what_a_scan_finds(
    groups: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    warehouse = open_warehouse(tmp_path_factory.mktemp("w"), create=True)
    put(warehouse, groups)
    flat = [name for group in groups for name in group]
    for wanted in ("a", "d"):
        rows = [number for number, name in enumerate(flat) if name == wanted]
        assert found(warehouse, object_id=wanted) == rows


def test_bounded_cache_drops_what_was_used_longest_ago() -> None:
    cache: BoundedCache[str] = BoundedCache(10)
    made = []

    def value(key: str, size: int) -> str:
        def make() -> tuple[str, int]:
            made.append(key)
            return key.upper(), size

        return cache.get(key, make)

    assert [value("a", 4), value("b", 4), value("a", 4), value("c", 4)] == ["A", "B", "A", "C"]
    assert "b" not in cache
    assert "a" in cache
    assert cache.bytes == 8
    assert value("big", 100) == "BIG"
    assert "big" not in cache
    assert (cache.bytes, made) == (8, ["a", "b", "c", "big"])
