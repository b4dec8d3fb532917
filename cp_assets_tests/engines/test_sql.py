"""`cp-assets sql`: what it prints runs, and reads what we read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from cp_assets_tests.engines.asking import Engine, EngineError
from cp_assets_tests.engines.comparing import assert_same
from cp_assets_tests.engines.conftest import PLATES, Served
from cp_assets_tests.services.missing import missing
from cp_assets_tests.test_cli import last_line, run
from cp_assets_tests.warehouse.moved_files import hidden, path_of

COLUMNS = ["Metadata_ImageCropID", "Metadata_Well", "Cells_AreaShape_Area", "ome_arrow_image"]


def _parsed(sql: str, dialect: str) -> Any:
    """The statement as a parser of that dialect reads it."""
    try:
        import sqlglot
    except ImportError:
        missing("no sqlglot, which parses SQL")
    return sqlglot.parse_one(sql, dialect=dialect)


def _printed(*words: str, engine: str) -> str:
    sql = run("sql", *words, "--engine", engine, "--warehouse", "lab").stdout
    return sql.strip().removesuffix(";")


def _expected(served: Served, name: str, columns: list[str]) -> pa.Table:
    return served.warehouse.read_table(name, plate=PLATES[1], columns=columns)


@pytest.mark.parametrize("engine_name", ["duckdb", pytest.param("spark", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["profile_with_images", "image_crops", "raw_measurements"])
def test_what_is_printed_reads_a_plate_without_the_files_of_others(
    served: Served, engine: Callable[[str], Engine], name: str, engine_name: str
) -> None:
    has = served.warehouse.read_table(name, limit=0).column_names
    columns = [column for column in COLUMNS if column in has] or ["plate_id", "source_row"]
    words = (name, "--plate", PLATES[1], "--columns", ",".join(columns))
    sql = _printed(*words, engine=engine_name)
    others = [
        path_of(file["file_path"])
        for table in served.tables.values()
        for file in table.inspect.files().to_pylist()
        if file["partition"]["plate_id"] != PLATES[1]
    ]
    reader = engine({"duckdb": "DuckDB", "spark": "Spark"}[engine_name])
    with hidden(others):
        found = reader.read(sql=sql)
    assert found.num_rows > 0
    assert_same(found, _expected(served, name, columns), columns, keys=columns[:2])


def test_the_whole_view_has_the_columns_of_ours(
    served: Served, engine: Callable[[str], Engine]
) -> None:
    found = engine("DuckDB").read(sql=_printed("profile_with_images", engine="duckdb"))
    ours = served.warehouse.read_table("profile_with_images")
    names = [name for name in ours.column_names if not pa.types.is_struct(ours[name].type)]
    assert_same(found, ours, names, keys=["plate_id", "Metadata_ImageCropID"])


@pytest.mark.parametrize("name", ["profile_with_images", "joined_profiles"])
def test_trinos_sql_is_trinos(served: Served, name: str) -> None:
    sql = _printed(name, "--plate", PLATES[1], "--well", "d3", "--limit", "7", engine="trino")
    tree = _parsed(sql, "trino")
    tables = {
        ".".join(part.name for part in one.parts) for one in tree.walk() if one.key == "table"
    }
    assert "cp_assets.profiles.joined_profiles" in tables
    assert len(tables) == (3 if name == "profile_with_images" else 1)
    texts = {one.this for one in tree.walk() if one.key == "literal" and one.is_string}
    assert texts == {PLATES[1], "D03"}
    assert tree.named_selects == served.warehouse.read_table(name, limit=0).column_names
    assert tree.args["limit"].expression.this == "7"


def test_a_catalog_that_keeps_views_gets_the_view(
    served: Served, engine: Callable[[str], Engine]
) -> None:
    for _ in range(2):
        said = run("sql", "profile_with_images", "--create-view", "--warehouse", "lab").stderr
        assert "created the view views.profile_with_images" in said
    view = served.warehouse.catalog.load_view("views.profile_with_images")
    ours = served.warehouse.read_table("profile_with_images", limit=0)
    assert [field.name for field in view.schema().fields] == ours.column_names
    for dialect in ("spark", "trino"):
        text = view.sql_for(dialect)
        assert text is not None
        assert _parsed(text.sql, dialect).named_selects == ours.column_names
    assert served.warehouse.list_tables() == sorted(served.tables)


@pytest.mark.slow
def test_spark_reads_the_view_of_the_catalog(
    served: Served, engine: Callable[[str], Engine]
) -> None:
    run("sql", "profile_with_images", "--create-view", "--warehouse", "lab")
    view = "`cp-assets`.views.profile_with_images"
    plate = PLATES[1].replace("\\", "\\\\").replace("'", "\\'")
    sql = f"SELECT {', '.join(COLUMNS)} FROM {view} WHERE plate_id = '{plate}'"
    found = engine("Spark").read(sql=sql)
    expected = _expected(served, "profile_with_images", COLUMNS)
    assert_same(found, expected, COLUMNS, keys=COLUMNS[:1])


def test_an_engine_that_cannot_says_so(engine: Callable[[str], Engine]) -> None:
    with pytest.raises(EngineError, match="nothing"):
        engine("DuckDB").read(sql="SELECT * FROM nothing")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("joined_profiles", "--columns", "Cells_None"), "has no column 'Cells_None'"),
        (("joined_profiles", "--create-view"), "--create-view is for profile_with_images"),
        (("nothing",), "has no table nothing"),
    ],
)
def test_a_mistake_is_one_line(served: Served, words: tuple[str, ...], message: str) -> None:
    assert message in last_line(run("sql", *words, "--warehouse", "lab", code=2))
