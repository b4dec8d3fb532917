"""The same measurements give the same rows, whatever dialect they are written in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from cp_assets.datasets import Dataset, PlateSources, find_plates
from cp_assets.datasets.presets import CYTOMINER_SQLITE
from cp_assets.errors import ConfigurationError, MeasurementError
from cp_assets.measurements import raw as raw_module
from cp_assets.measurements import site_rows
from cp_assets.measurements.keyed_rows import sorted_on_disk
from cp_assets.sample import SampleTruth
from cp_assets_tests.dialects import (
    MOST_COLUMNS,
    Tables,
    cellprofiler_names,
    cytominer_names,
    merged,
    read_csv_tables,
    write_csv_tables,
    write_database,
    write_parquet_tables,
)
from cp_assets_tests.files import one_plate
from cp_assets_tests.measurements.reading import join_plate, raw_table, read_raw

Write = Callable[[Path, Tables], object]

DIALECTS: dict[str, tuple[str, Write]] = {
    "gzip": ("cellprofiler-csv", lambda folder, t: write_csv_tables(folder, t, ".csv.gz")),
    "parquet": ("parquet", write_parquet_tables),
    "per object": (
        "cellprofiler-sqlite",
        lambda folder, t: write_database(folder / "p.sqlite", cellprofiler_names(t)),
    ),
    "prefixed": (
        "cellprofiler-sqlite",
        lambda folder, t: write_database(folder / "p.db", cellprofiler_names(t, "MyExpt_")),
    ),
    "cytominer": (
        "cytominer-sqlite",
        lambda folder, t: write_database(folder / "p.sqlite", cytominer_names(t)),
    ),
}
NUMBERED: dict[str, Write] = {
    "csv": write_csv_tables,
    "gzip": lambda folder, t: write_csv_tables(folder, t, ".csv.gz"),
    "parquet": write_parquet_tables,
    "sqlite": lambda folder, t: write_database(folder / "p.sqlite", cellprofiler_names(t)),
}
REAL = {"ExampleHuman": "example_human", "cpg0043": "cpg0043_BR00116991/BR00116991-A01-1"}
_ORIGIN = {"source_file", "source_row", "TableNumber", "Metadata_TableNumber"}
_ORIGIN |= {"source_folder", "Metadata_SourceFolder"}


def same(found: pa.Table, truth: pa.Table) -> None:
    """Row by row and column by column, apart from where a row lies and the number of its table."""
    names = [name for name in truth.column_names if name not in _ORIGIN]
    assert {name for name in found.column_names if name not in _ORIGIN} == set(names)
    assert found.num_rows == truth.num_rows > 0
    for name in names:
        assert found[name].combine_chunks().equals(truth[name].combine_chunks()), name


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("data", REAL)
def test_real_plate_is_the_same_in_every_dialect(
    test_data: Path, tmp_path: Path, data: str, dialect: str
) -> None:
    # One dialect with as many columns as SQLite takes; the others would only take longer.
    tables = read_csv_tables(
        test_data / REAL[data], MOST_COLUMNS - 10 if dialect == "cytominer" else 200
    )
    preset, write = DIALECTS[dialect]
    write_csv_tables(tmp_path / "csv", tables)
    write(tmp_path / "other", tables)
    plain = one_plate(tmp_path / "csv", plate_id="P")
    other = one_plate(tmp_path / "other", plate_id="P")
    assert other.choice.startswith(f"{preset}, found by itself")
    same(join_plate(other)[0], join_plate(plain)[0])
    for compartment in tables:
        same(raw_table(other, compartment), raw_table(plain, compartment))
    assert read_raw(other)[1].entries == []


def _of_sample(truth: SampleTruth, **options: object) -> PlateSources:
    found = find_plates(Dataset(dataset_id="s", root=truth.root, **options))  # type: ignore[arg-type]
    return next(iter(found.values()))


@pytest.mark.parametrize("names", [cytominer_names, cellprofiler_names])
def test_merged_database_equals_a_folder_a_site(
    small_sample: SampleTruth, tmp_path: Path, names: Callable[[Tables], Tables]
) -> None:
    sources = _of_sample(small_sample)
    # Not in the plate's order: rows must be sorted.
    tables = merged(folder.path for folder in reversed(sources.folders))
    root = tmp_path / "gallery"
    key = sources.key
    database = root / "workspace/backend" / key.batch_id / key.plate_id / f"{key.plate_id}.sqlite"
    write_database(database, names(tables))
    (other,) = find_plates(Dataset(dataset_id="s", root=root)).values()
    assert other.key == key
    assert other.choice.endswith("(backend: no analysis)")
    joined, truth = join_plate(other)[0], join_plate(sources)[0]
    same(joined, truth)
    image = tables["Image"]
    wells_and_sites = image.Metadata_Well + image.Metadata_Site.astype(str)
    numbers = dict(zip(wells_and_sites, image.TableNumber, strict=True))
    places = zip(joined["well_id"].to_pylist(), joined["site_id"].to_pylist(), strict=True)
    assert joined["Metadata_TableNumber"].to_pylist() == [numbers[w + s] for w, s in places]
    assert "Metadata_TableNumber" not in truth.column_names
    files = write_csv_tables(tmp_path / "csv", tables)
    names_of_plate = {"dataset_id": "s", "batch_id": key.batch_id, "plate_id": key.plate_id}
    from_csv = join_plate(one_plate(files, **names_of_plate))[0]
    same(from_csv, truth)
    assert from_csv["Metadata_TableNumber"].equals(joined["Metadata_TableNumber"])
    raw, log = read_raw(other)
    assert len(log) == 0
    assert raw["Cells"][0]["source_file"][0].as_py().endswith(f"{key.plate_id}.sqlite:" + next(
        name for name in names(tables) if name.endswith("Cells")))  # fmt: skip


def test_image_numbers_that_restart_in_each_table_stay_apart(tmp_path: Path) -> None:
    image = pd.DataFrame(
        {"TableNumber": [7, 8], "ImageNumber": [1, 1], "Image_Count_Cells": [2, 1]}
    )
    cells = pd.DataFrame(
        {"TableNumber": [8, 7, 7, 9], "ImageNumber": 1, "ObjectNumber": [1, 2, 1, 1],
         "Cells_Area": [5.0, 4.0, 3.0, 9.0]}
    )  # fmt: skip
    write_database(tmp_path / "p.sqlite", {"Image": image, "Cells": cells})
    sources = one_plate(tmp_path)
    rows = raw_table(sources, "Cells").to_pylist()
    found = [(r["TableNumber"], r["ObjectNumber"], r["Area"], r["source_row"]) for r in rows]
    assert found == [(7, 1, 3.0, 3), (7, 2, 4.0, 2), (8, 1, 5.0, 1)]
    assert rows[0]["image_id"] == rows[1]["image_id"] != rows[2]["image_id"]
    (lost,) = read_raw(sources)[1]
    assert (lost.reason, lost.source_row) == ("no_image_set", 4)
    assert lost.detail.startswith("TableNumber 9, ImageNumber 1 is not in p.sqlite:Image")
    joined = join_plate(sources)[0]
    assert joined["Metadata_TableNumber"].to_pylist() == [7, 7, 8]
    assert joined["Image_Count_Cells"].to_pylist() == [2, 2, 1]
    assert not {"Image_TableNumber", "Metadata_Cells_TableNumber"} & set(joined.column_names)


@pytest.mark.parametrize("form", ["{:d}", "{:032x}", " {:d} "], ids=["whole", "hex", "spaced"])
@pytest.mark.parametrize("dialect", ["csv", "parquet", "sqlite"])
def test_table_numbers_of_128_bits_tell_image_sets_apart(
    tmp_path: Path, dialect: str, form: str
) -> None:
    sums = [int(hashlib.md5(f"{n}".encode()).hexdigest(), 16) for n in (1, 2)]  # noqa: S324
    names = [form.format(number) for number in sums]
    image = pd.DataFrame({"TableNumber": names, "ImageNumber": 1, "Metadata_Well": ["A01", "A02"]})
    cells = pd.DataFrame(
        {"TableNumber": [names[0], *names], "ImageNumber": 1, "ObjectNumber": [1, 1, 2],
         "Area": [1.0, 3.0, 2.0]}
    )  # fmt: skip
    cells.loc[1, "TableNumber"], cells.loc[2, "TableNumber"] = names[1], names[0]
    NUMBERED[dialect](tmp_path, {"Image": image, "Cells": cells})
    joined, _ = join_plate(one_plate(tmp_path, plate_id="P"))
    assert joined["Cells_Area"].to_pylist() == [1.0, 2.0, 3.0]
    assert joined["well_id"].to_pylist() == ["A01", "A01", "A02"]
    digests = [hashlib.sha256(name.strip().encode()).digest() for name in names]
    numbers = [int.from_bytes(digest[:8], "big") // 2 for digest in digests]
    assert joined["Metadata_TableNumber"].to_pylist() == [numbers[0], numbers[0], numbers[1]]


@pytest.mark.parametrize("key", ["TableNumber", "ImageNumber", "ObjectNumber"])
def test_keys_of_another_kind_are_a_clear_error(tmp_path: Path, key: str) -> None:
    cells = pd.DataFrame({"TableNumber": [7], "ImageNumber": [1], "ObjectNumber": [1]})
    write_csv_tables(tmp_path, {"Image": cells, "Cells": cells})
    with pytest.raises(ConfigurationError, match=f"column_types: {key} is string; expected int"):
        read_raw(one_plate(tmp_path, column_types={key: "string"}))


@pytest.mark.parametrize("lacks", ["Image", "Cells"])
def test_table_numbers_of_some_tables_only_are_a_clear_error(tmp_path: Path, lacks: str) -> None:
    tables = {
        "Image": pd.DataFrame({"TableNumber": [7], "ImageNumber": [1]}),
        "Cells": pd.DataFrame({"TableNumber": [7], "ImageNumber": [1], "ObjectNumber": [1]}),
    }
    tables[lacks] = tables[lacks].drop(columns="TableNumber")
    write_database(tmp_path / "p.sqlite", tables)
    with pytest.raises(MeasurementError, match=f"has a TableNumber and p.sqlite:{lacks} has none"):
        read_raw(one_plate(tmp_path))
    alone = replace(CYTOMINER_SQLITE, table_number=None)
    assert raw_table(one_plate(tmp_path, preset=alone), "Cells").num_rows == 1


def test_one_table_of_all_objects(tmp_path: Path) -> None:
    image = pd.DataFrame({"ImageNumber": [1, 2]})
    both = pd.DataFrame(
        {
            "ImageNumber": [2, 1, 1],
            "ObjectNumber": [1, 1, 2],
            "Cells_Number_Object_Number": [1, 1, 2],
            "Cells_AreaShape_Area": [50.0, 30.0, 40.0],
            "Cells_Parent_Cells_Small": [1, 1, None],
            "Cells_Small_Number_Object_Number": [1, 1, None],
            "Cells_Small_AreaShape_Area": [5.0, 3.0, None],
        }
    )
    write_database(tmp_path / "p.sqlite", {"Per_Image": image, "Per_Object": both})
    sources = one_plate(tmp_path, compartments=("Cells", "Cells_Small"))
    assert set(sources.folders[0].tables) == {"Image", "Cells", "Cells_Small"}
    small = raw_table(sources, "Cells_Small")
    assert small["AreaShape_Area"].to_pylist() == [3.0, 5.0]
    assert small["source_row"].to_pylist() == [2, 1]
    cells = raw_table(sources, "Cells")
    assert cells["AreaShape_Area"].to_pylist() == [30.0, 40.0, 50.0]
    assert "Small_AreaShape_Area" not in cells.column_names
    joined, log = join_plate(sources)
    assert joined["Cells_Small_AreaShape_Area"].to_pylist() == [3.0, None, 5.0]
    assert log.by_reason() == {"no_cells_small": 1}


def test_several_plates_in_one_database(tmp_path: Path) -> None:
    image = pd.DataFrame(
        {"TableNumber": [1, 2, 3], "ImageNumber": 1, "Image_Metadata_Plate": ["P1", "P2", "P1"],
         "Image_Metadata_Well": ["a1", "a1", "a2"], "Image_Metadata_Site": ["1", "1", "1"]}
    )  # fmt: skip
    cells = pd.DataFrame(
        {
            "TableNumber": [1, 2, 3],
            "ImageNumber": 1,
            "ObjectNumber": 1,
            "Cells_Area": [1.0, 2.0, 3.0],
        }
    )
    write_database(tmp_path / "all.sqlite", {"Image": image, "Cells": cells})
    plates = find_plates(Dataset(dataset_id="d", root=tmp_path, layout="cellprofiler"))
    found = {key.plate_id: raw_table(one, "Cells") for key, one in plates.items()}
    assert {name: rows["Area"].to_pylist() for name, rows in found.items()} == {
        "P1": [1.0, 3.0],
        "P2": [2.0],
    }
    assert found["P1"]["well_id"].to_pylist() == ["A01", "A02"]
    assert all(len(read_raw(one)[1]) == 0 for one in plates.values())


def test_a_database_a_plate_in_one_folder(tmp_path: Path) -> None:
    for plate, area in (("P1", 1.0), ("P2", 2.0)):
        image = pd.DataFrame({"ImageNumber": [1], "Image_Metadata_Plate": [plate]})
        cells = pd.DataFrame(
            {"ImageNumber": [1], "Cells_Number_Object_Number": [1], "Cells_Area": [area]}
        )
        write_database(tmp_path / f"{plate}.sqlite", {"Per_Image": image, "Per_Cells": cells})
    plates = find_plates(Dataset(dataset_id="d", root=tmp_path, layout="cellprofiler"))
    rows = [raw_table(one, "Cells").to_pylist()[0] for one in plates.values()]
    assert [(r["plate_id"], r["Area"], r["source_file"]) for r in rows] == [
        ("P1", 1.0, "P1.sqlite:Per_Cells"),
        ("P2", 2.0, "P2.sqlite:Per_Cells"),
    ]


@pytest.mark.parametrize("in_order", [True, False])
def test_only_a_table_out_of_order_is_sorted_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_order: bool
) -> None:
    count = 40
    image = pd.DataFrame({"ImageNumber": range(1, count + 1), "Image_Metadata_Site": [
        str(n if in_order else count - n) for n in range(count)]})  # fmt: skip
    image["Image_Metadata_Well"] = "A01"
    cells = pd.DataFrame(
        [(n, k, n + k / 10) for n in range(1, count + 1) for k in (1, 2)],
        columns=["ImageNumber", "ObjectNumber", "Cells_Area"],
    )
    write_database(tmp_path / "db" / "p.sqlite", {"Image": image, "Cells": cells})
    write_csv_tables(tmp_path / "csv", {
        "Image": image.rename(columns=lambda c: c.removeprefix("Image_")),
        "Cells": cells.rename(columns=lambda c: c.removeprefix("Cells_"))})  # fmt: skip
    used = []

    def sort(batches: object) -> object:
        used.append(True)
        return sorted_on_disk(batches)  # type: ignore[arg-type]

    monkeypatch.setattr(raw_module, "sorted_on_disk", sort)
    monkeypatch.setattr(site_rows, "CHUNK_BYTES", 300)
    found = raw_table(one_plate(tmp_path / "db", plate_id="P"), "Cells")
    assert used == ([] if in_order else [True])
    monkeypatch.undo()
    same(found, raw_table(one_plate(tmp_path / "csv", plate_id="P"), "Cells"))


@pytest.mark.parametrize("dialect", NUMBERED)
def test_a_text_among_numbers_of_an_image_table_costs_itself(tmp_path: Path, dialect: str) -> None:
    note = ["1.5", "blurry"] if dialect == "parquet" else [1.5, "blurry"]
    image = pd.DataFrame({"ImageNumber": [1, 2], "ImageQuality_Note": note})
    cells = pd.DataFrame({"ImageNumber": [1, 2], "ObjectNumber": 1, "Area": [1.0, 2.0]})
    NUMBERED[dialect](tmp_path, {"Image": image, "Cells": cells})
    sources = one_plate(tmp_path, plate_id="P")
    joined = join_plate(sources)[0]
    assert joined["Image_ImageQuality_Note"].to_pylist() == [1.5, None]
    (entry,) = read_raw(sources)[1].entries
    assert (entry.outcome, entry.reason, entry.source_row) == ("incomplete", "not_a_number", 2)
    assert "ImageQuality_Note is 'blurry'" in entry.detail


@pytest.mark.parametrize("dialect", NUMBERED)
def test_whole_numbers_are_exact_as_far_as_int64_goes(tmp_path: Path, dialect: str) -> None:
    numbers = [1, 2**60, 2**63 - 1, -(2**63), 10**18 + 1]
    image = pd.DataFrame({"ImageNumber": [1], "Group_Index": 2**62 + 1})
    cells = pd.DataFrame(
        {"ImageNumber": 1, "ObjectNumber": range(1, 6), "Children_X_Count": numbers}
    )
    NUMBERED[dialect](tmp_path, {"Image": image, "Cells": cells})
    sources = one_plate(tmp_path, plate_id="P")
    assert raw_table(sources, "Cells")["Children_X_Count"].to_pylist() == numbers
    assert raw_table(sources, "Image")["Group_Index"].to_pylist() == [2**62 + 1]
    assert read_raw(sources)[1].entries == []


@pytest.mark.parametrize("kind", ["int64", "float64"])
@pytest.mark.parametrize("dialect", NUMBERED)
def test_wells_of_rows_and_columns_that_are_numbers(
    tmp_path: Path, dialect: str, kind: str
) -> None:
    image = pd.DataFrame(
        {
            "ImageNumber": [1, 2],
            "Metadata_Row": [1, 27],
            "Metadata_Col": [1, 11],
            "Metadata_Site": 1,
        }
    )
    image = image.astype({f"Metadata_{name}": kind for name in ("Row", "Col", "Site")})
    NUMBERED[dialect](tmp_path, {"Image": image})
    found = raw_table(one_plate(tmp_path, plate_id="P"), "Image")
    assert found["well_id"].to_pylist() == ["A01", "AA11"]
    assert found["site_id"].to_pylist() == ["1", "1"]


@pytest.mark.parametrize("kind", ["int64", "float64"])
@pytest.mark.parametrize("dialect", NUMBERED)
def test_plates_and_sites_that_are_numbers(tmp_path: Path, dialect: str, kind: str) -> None:
    image = pd.DataFrame(
        {"ImageNumber": [1, 2], "Metadata_Plate": [1053597806, 1053597807],
         "Metadata_Well": ["A01", "A02"], "Metadata_Site": [1, 2], "Metadata_Lot": [3, -4]}
    ).astype({f"Metadata_{name}": kind for name in ("Plate", "Site", "Lot")})  # fmt: skip
    cells = pd.DataFrame({"ImageNumber": [1, 2, 2], "ObjectNumber": [1, 1, 2], "Area": [1.0, 2, 3]})
    NUMBERED[dialect](tmp_path, {"Image": image, "Cells": cells})
    plates = find_plates(Dataset(dataset_id="d", root=tmp_path, layout="cellprofiler"))
    assert [key.plate_id for key in plates] == ["1053597806", "1053597807"]
    found = [join_plate(one)[0].to_pylist() for one in plates.values()]
    assert [[row["Cells_Area"] for row in rows] for rows in found] == [[1.0], [2.0, 3.0]]
    assert [rows[0]["site_id"] for rows in found] == ["1", "2"]
    if dialect in ("parquet", "sqlite"):
        # In CSV files they are text, which is kept.
        assert [rows[0]["Image_Metadata_Lot"] for rows in found] == ["3", "-4"]
        assert found[0][0]["Image_Metadata_Plate"] == "1053597806"
