"""Holding tables against the join contract, as the peer does and beyond it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iceberg_bioimage.validation.contracts import validate_microscopy_profile_table

from cp_assets.contract.profile_tables import ParquetRows, open_table
from cp_assets.contract.result import ContractResult
from cp_assets.contract.validation import validate_columns, validate_rows
from cp_assets.errors import ConfigurationError, MeasurementError

PEER_FIELDS = (
    *("present_columns", "required_columns", "recommended_columns"),
    *("missing_required_columns", "missing_recommended_columns"),
)


def rows_of(folder: Path, *parts: pa.Table) -> ParquetRows:
    """A table of parts, as it lies on disk."""
    folder.mkdir(exist_ok=True)
    for at, part in enumerate(parts):
        pq.write_table(part, folder / f"part-{at}.parquet", row_group_size=3)
    opened = open_table(folder)
    assert isinstance(opened, ParquetRows)
    return opened


@pytest.mark.parametrize(
    "columns",
    [
        ["dataset_id", "image_id", "plate_id", "well_id", "site_id"],
        ["Metadata_Source", "Metadata_ImageID", "Metadata_Plate", "Metadata_Well", "Image_Area"],
        ["image_id", "Cells_AreaShape_Area"],
        ["Cells_AreaShape_Area"],
    ],
)
def test_columns_are_judged_as_the_peer_judges_them(tmp_path: Path, columns: list[str]) -> None:
    file = tmp_path / "profiles.parquet"
    pq.write_table(pa.table({name: ["x"] for name in columns}), file)
    theirs = validate_microscopy_profile_table(str(file)).to_dict()
    ours = validate_rows(open_table(file)).to_dict()
    assert {name: ours[name] for name in PEER_FIELDS} == {n: theirs[n] for n in PEER_FIELDS}
    assert (ours["target"], ours["is_valid"]) == (theirs["target"], theirs["is_valid"])


KEYS = st.sampled_from(["a", "b", "a/b", "1", "", None])
TABLES = st.lists(st.tuples(KEYS, KEYS, st.sampled_from([1, 2, None])), max_size=20)


@settings(deadline=None, max_examples=40)
@given(TABLES, TABLES, st.integers(0, 20))
def test_keys_and_images_are_counted_as_pandas_counts_them(
    tmp_path_factory: pytest.TempPathFactory,
    cells: list[tuple[str | None, str | None, int | None]],
    images: list[tuple[str | None, str | None, int | None]],
    cut: int,
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    names = ["Metadata_Source", "Metadata_ImageID", "ObjectNumber"]
    schema = pa.schema([(names[0], pa.string()), (names[1], pa.string()), (names[2], pa.int64())])
    profiles = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in cells], schema)
    of_images = pa.Table.from_pylist([dict(zip(names, r, strict=True)) for r in images], schema)
    found = validate_rows(
        rows_of(folder / "profiles", profiles.slice(0, cut), profiles.slice(cut)),
        images=rows_of(folder / "images", of_images.drop_columns("ObjectNumber")),
    )
    frame = pd.DataFrame(cells, columns=names, dtype=object).replace({"": None})
    there = pd.DataFrame(images, columns=names, dtype=object).replace({"": None})[names[:2]]
    assert found.rows == len(frame)
    assert found.nulls == {
        "dataset_id": frame["Metadata_Source"].isna().sum(),
        "image_id": frame["Metadata_ImageID"].isna().sum(),
    }
    complete = frame.dropna()
    sizes = complete.groupby(names).size()
    assert found.row_key is not None
    assert found.row_key.columns == tuple(names)
    assert found.row_key.rows == len(complete)
    assert found.row_key.repeated == (sizes > 1).sum()
    twice = {"/".join(map(str, key)) for key in sizes[sizes > 1].index}
    assert set(found.row_key.examples) <= twice
    assert len(found.row_key.examples) == min(5, len(sizes[sizes > 1]))
    pairs = set(map(tuple, there.dropna().to_numpy()))
    named = [tuple(pair) for pair in frame[names[:2]].to_numpy()]
    cover = found.coverage
    assert cover is not None
    assert (cover.rows, cover.images) == (len(named), len(pairs))
    assert cover.rows_with_image == sum(pair in pairs for pair in named)
    assert cover.images_with_rows == len(pairs & set(named))
    lost = {"/".join(p) for p in named if None not in p and p not in pairs}
    assert set(cover.rows_without_image_examples) <= lost
    assert set(cover.images_without_rows_examples) <= {"/".join(p) for p in pairs - set(named)}
    assert found.is_valid == (
        not any(found.nulls.values())
        and not found.row_key.repeated
        and cover.rows == cover.rows_with_image
    )


def test_dataset_is_given_where_the_table_has_none() -> None:
    columns = ["image_id", "plate_id", "well_id", "site_id"]
    assert validate_columns(columns).missing_required_columns == ("dataset_id",)
    found = validate_columns(columns, dataset_id="D")
    assert found.is_valid
    assert found.dataset_id == "D"
    assert validate_columns(["dataset_id", *columns], dataset_id="D").dataset_id is None


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([1, 20, None]), "1 20"),
        (pa.array([1.0, 20.0, float("nan")]), "1 20"),
        (pa.array(["1", "20", ""]).dictionary_encode(), "1 20"),
        (pa.array(["1", "20", None], pa.large_string()), "1 20"),
        (pa.array([True, False, None]), "true false"),
    ],
    ids=["int", "float", "dictionary", "large", "bool"],
)
def test_key_of_any_type_finds_its_image(tmp_path: Path, values: pa.Array, texts: str) -> None:
    profiles = pa.table({"dataset_id": ["D"] * 3, "image_id": values})
    ids = texts.split()
    images = pa.table({"dataset_id": ["D"] * 2, "image_id": ids})
    found = validate_rows(rows_of(tmp_path / "p", profiles), images=rows_of(tmp_path / "i", images))
    assert found.nulls["image_id"] == 1
    assert found.coverage is not None
    assert found.coverage.rows_with_image == 2
    assert found.coverage.images_with_rows == 2


def test_parts_may_differ_in_columns_and_types(tmp_path: Path) -> None:
    found = validate_rows(
        rows_of(
            tmp_path / "parts",
            pa.table({"dataset_id": ["D"], "image_id": [7], "A": [1.5]}),
            pa.table({"image_id": [7.0], "dataset_id": ["D"], "well_id": ["A01"]}),
            pa.table({"dataset_id": ["D"]}),
        )
    )
    assert found.present_columns == ("dataset_id", "image_id", "A", "well_id")
    assert found.nulls == {"dataset_id": 0, "image_id": 1, "well_id": 2}
    assert found.row_key is not None
    assert found.row_key.examples == ("D/7",)


def test_repeated_images_of_a_table_without_objects_are_a_warning(tmp_path: Path) -> None:
    rows = pa.table({"dataset_id": ["D", "D"], "image_id": ["i", "i"]})
    found = validate_rows(rows_of(tmp_path / "t", rows))
    assert found.is_valid
    assert "no column names objects" in found.warnings[-1]


def test_table_without_rows_is_valid_and_warned_of(tmp_path: Path) -> None:
    found = validate_rows(
        rows_of(tmp_path / "t", pa.table({"dataset_id": ["D"], "image_id": ["i"]}).slice(1))
    )
    assert found.is_valid
    assert found.rows == 0
    assert "there are no rows" in found.warnings


TEXT = """\
dataset_id,image_id,ObjectNumber,"a ""b"",
c",Metadata_Site,metadata_site
D,007,1,1.5,1,NA
D,"x
y",2,,1,2
"""


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".CSV"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "byte-order-mark"])
def test_csv_is_validated(tmp_path: Path, ending: str, mark: bytes) -> None:
    file = tmp_path / f"profiles{ending}"
    content = mark + TEXT.encode()
    file.write_bytes(gzip.compress(content) if ending == ".csv.gz" else content)
    opened = open_table(file)
    found = validate_rows(opened)
    assert found.is_valid, found.errors
    assert found.rows == 2
    assert found.resolved_columns["site_id"] == "Metadata_Site"
    assert pa.Table.from_batches(opened.whole_batches()).to_pydict() == {
        "dataset_id": ["D", "D"],
        "image_id": ["007", "x\ny"],
        "ObjectNumber": ["1", "2"],
        'a "b",\nc': [1.5, None],
        "Metadata_Site": ["1", "1"],
        "metadata_site": [None, 2],
    }


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.parquet", b"", "a.parquet is empty"),
        ("a.csv", b"", "a.csv is empty"),
        ("a.parquet", b"dataset_id,image_id\n", "cannot be read as Parquet"),
        ("a.csv", b"PAR1\x00\xff\xfe,\n", "cannot be read as CSV"),
        ("a.csv", b"\n1,2\n", "has no header"),
        ("a.csv", b"a,b,a\n1,2,3\n", "the column 'a' twice"),
        ("a.csv", b"image_id,b\n1,2\n1,2,3\n", "cannot be read as CSV"),
        ("a.csv", b"image_id,b\n1,2\n1\n", "cannot be read as CSV"),
        ("a.csv", b'image_id,b\n1,2\n1,"3\n', "cannot be read as CSV"),
        ("a.csv.gz", b"image_id,b\n1,2\n", "cannot be read as CSV"),
        (
            "a.csv.gz",
            gzip.compress(b"image_id,b\n1,2\n" * 1000, mtime=0)[:-20],
            "cannot be read as CSV",
        ),
        ("a.tif", b"II*\x00", "a.tif: expected Parquet"),
    ],
)
def test_file_that_is_no_table_is_named(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    file = written(tmp_path / name, content)
    with pytest.raises(MeasurementError, match=told) as raised:
        validate_rows(open_table(file))
    assert "\n" not in str(raised.value)


def test_parquet_with_a_column_twice_is_named(tmp_path: Path) -> None:
    columns = [pa.array([1]), pa.array(["a"])]
    pq.write_table(pa.Table.from_arrays(columns, names=["x", "x"]), tmp_path / "a.parquet")
    with pytest.raises(MeasurementError, match=r"a\.parquet has the column 'x' twice"):
        validate_rows(open_table(tmp_path / "a.parquet"))


def test_folder_without_tables_is_named(tmp_path: Path) -> None:
    written(tmp_path / "_metadata.parquet", b"")
    with pytest.raises(MeasurementError, match="holds no Parquet file"):
        open_table(tmp_path)


@pytest.mark.parametrize("name", ["no.parquet", "folder/no", "no.csv.gz"])
def test_file_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="no such file or folder"):
        open_table(tmp_path / name)


def test_nested_key_is_named(tmp_path: Path) -> None:
    table = pa.table({"dataset_id": ["D"], "image_id": [[1]]})
    with pytest.raises(MeasurementError, match=r"image_id holds list<.*expected text or numbers"):
        validate_rows(rows_of(tmp_path / "t", table))


def test_images_without_their_names_are_named(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "t", pa.table({"dataset_id": ["D"], "image_id": ["i"]}))
    images = rows_of(tmp_path / "i", pa.table({"uri": ["a.tif"]}))
    with pytest.raises(ConfigurationError, match="no column dataset_id and image_id"):
        validate_rows(rows, images=images)


def test_result_is_json(tmp_path: Path) -> None:
    rows = rows_of(tmp_path / "t", pa.table({"dataset_id": ["D"], "image_id": ["i"]}))
    found = validate_rows(rows, images=rows)
    assert isinstance(found, ContractResult)
    told = found.to_dict()
    assert told["coverage"]["rows_with_image"] == 1
    assert told["present_columns"] == ["dataset_id", "image_id"]
    assert pa.table({"json": [found.to_json(indent=2)]}).num_rows
