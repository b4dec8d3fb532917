"""Tables that are remembered are those that the catalog has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.utils.config import Config

from cp_assets.warehouse.schemas import SharedSchema, annotated_schema, arrow_schema
from cp_assets.warehouse.sql_catalog import RememberingSqlCatalog
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets_tests.warehouse.plates import batch, numbers, write


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables whose metadata is parsed, one entry each time."""
    names: list[str] = []
    load = SqlCatalog.load_table

    def counted(self: SqlCatalog, identifier: Any) -> Any:
        names.append(str(identifier))
        return load(self, identifier)

    monkeypatch.setattr(SqlCatalog, "load_table", counted)
    return names


def test_a_table_is_parsed_once_for_each_of_its_states(
    warehouse: Warehouse, parsed: list[str]
) -> None:
    write(warehouse, batch([1]))
    warehouse = open_warehouse(warehouse.name)
    parsed.clear()
    first, second = warehouse.table("small"), warehouse.table("small")
    assert len(parsed) == 1
    assert first is not second
    assert first.metadata == second.metadata


def test_what_another_process_wrote_is_seen_at_once(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]))
    assert numbers(warehouse) == [1]
    other = open_warehouse(warehouse.name)
    write(other, batch([2, 3]))
    assert numbers(warehouse) == [2, 3]
    other.catalog.drop_table("profiles.small")
    with pytest.raises(NoSuchTableError):
        warehouse.catalog.load_table("profiles.small")
    write(other, batch([4]))
    assert numbers(warehouse) == [4]


def test_refreshing_one_table_does_not_change_another(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]))
    one, other = warehouse.table("small"), warehouse.table("small")
    write(warehouse, batch([2]))
    one.refresh()
    assert one.current_snapshot() != other.current_snapshot()


def test_a_committed_state_is_known_as_it_would_be_parsed(
    warehouse: Warehouse, parsed: list[str]
) -> None:
    for number in range(3):
        write(warehouse, batch([number], **{f"Cells_{number}": [0.5]}))
    parsed.clear()
    known = warehouse.table("small")
    assert parsed == []
    fresh = open_warehouse(warehouse.name).table("small")
    assert known.metadata == fresh.metadata
    assert known.metadata_location == fresh.metadata_location


def test_a_configured_sql_catalog_remembers_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path / 'catalog.db'}"
    monkeypatch.setenv("PYICEBERG_CATALOG__LAB__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__LAB__URI", uri)
    monkeypatch.setenv("PYICEBERG_CATALOG__LAB__WAREHOUSE", f"file://{tmp_path}")
    # PyIceberg reads the environment when it is imported.
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    warehouse = open_warehouse("lab")
    assert isinstance(warehouse.catalog, RememberingSqlCatalog)
    write(warehouse, batch([1]))
    assert load_catalog("lab").load_table("profiles.small").scan().to_arrow().num_rows == 1


def test_a_shared_schema_is_the_schema(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]))
    shared = warehouse.table("small").schema()
    plain = SqlCatalog.load_table(warehouse.catalog, "profiles.small").schema()
    assert isinstance(shared, SharedSchema)
    assert not isinstance(plain, SharedSchema)
    assert shared == plain
    for _ in range(2):
        assert shared.model_dump_json() == plain.model_dump_json()
        assert shared.model_dump_json(exclude={"fields"}) == plain.model_dump_json(
            exclude={"fields"}
        )
    assert arrow_schema(shared).equals(arrow_schema(plain), check_metadata=True)
    assert annotated_schema(shared).equals(annotated_schema(plain), check_metadata=True)
