"""Tables that are remembered are those that the catalog has."""

from __future__ import annotations

from typing import Any

import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError

from cp_assets.warehouse.loaded_tables import LoadedTables
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
        warehouse.loaded.load("profiles.small")
    write(other, batch([4]))
    assert numbers(warehouse) == [4]


def test_refreshing_one_table_does_not_change_another(warehouse: Warehouse) -> None:
    write(warehouse, batch([1]))
    one, other = warehouse.table("small"), warehouse.table("small")
    write(warehouse, batch([2]))
    one.refresh()
    assert one.current_snapshot() != other.current_snapshot()


def test_a_catalog_that_is_not_kept_in_sql_is_asked_each_time() -> None:
    catalog = load_catalog("memory", type="in-memory")
    catalog.create_namespace("n")

    class Other:
        """Not a `SqlCatalog`: as a REST catalog is."""

        asked = 0

        def load_table(self, name: str) -> object:
            self.asked += 1
            return catalog.load_table(name)

    other = Other()
    from pyiceberg.schema import Schema

    catalog.create_table("n.t", Schema())
    loaded = LoadedTables(other)  # type: ignore[arg-type]
    assert loaded.load("n.t").name() == loaded.load("n.t").name() == ("n", "t")
    assert other.asked == 2
