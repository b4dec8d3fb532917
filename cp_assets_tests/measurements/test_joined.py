from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from cp_assets.datasets import Dataset, PlateSources, find_plates
from cp_assets.datasets.ids import object_id
from cp_assets.errors import BoxColumnsError, JoinError
from cp_assets.measurements import joined as joined_module
from cp_assets.measurements.joined_columns import JOINED_PROFILES, joined_name
from cp_assets.rejections import RejectionLog
from cp_assets.sample import SampleTruth
from cp_assets_tests.files import cells_and_nuclei, image_row, one_plate, write_folder
from cp_assets_tests.measurements.reading import join_plate, read_raw


def pandas_join(folder: Path) -> pd.DataFrame:
    """The join as a user of pandas would write it, under the joined names."""
    tables = {}
    for compartment in ("Cells", "Cytoplasm", "Nuclei"):
        table = pd.read_csv(folder / f"{compartment}.csv", float_precision="round_trip")
        tables[compartment] = table.rename(columns=lambda name, c=compartment: joined_name(c, name))
    joined = tables["Cells"]
    image_of = {name: f"Metadata_{name}_ImageNumber" for name in tables}
    joined = joined.merge(
        tables["Cytoplasm"],
        left_on=[image_of["Cells"], "Metadata_Cells_ObjectNumber"],
        right_on=[image_of["Cytoplasm"], "Metadata_Cytoplasm_Parent_Cells"],
        how="left",
        validate="one_to_one",
    )
    parent = (
        "Metadata_Cells_Parent_Nuclei"
        if "Metadata_Cells_Parent_Nuclei" in joined
        else "Metadata_Cytoplasm_Parent_Nuclei"
    )
    joined = joined.merge(
        tables["Nuclei"],
        left_on=[image_of["Cells"], parent],
        right_on=[image_of["Nuclei"], "Metadata_Nuclei_ObjectNumber"],
        how="left",
        validate="many_to_one",
    )
    image = pd.read_csv(folder / "Image.csv", float_precision="round_trip")
    image = image.rename(columns=lambda name: joined_name("Image", name))
    return joined.merge(image, left_on=image_of["Cells"], right_on="Image_ImageNumber")


def check_books(sources: PlateSources, joined: pa.Table, log: RejectionLog) -> None:
    """Objects read = objects in joined rows + objects rejected, for each compartment."""
    raw, _ = read_raw(sources)
    for compartment in set(raw) - {"Image"}:
        column = f"Metadata_{compartment}_ObjectNumber"
        if column not in joined.column_names:
            continue
        read = sum(batch.num_rows for batch in raw[compartment])
        rows = joined.select(["image_id", column]).filter(pa.compute.is_valid(joined[column]))
        used = len({tuple(row.values()) for row in rows.to_pylist()})
        rejected = sum(
            entry.count
            for entry in log
            if entry.compartment == compartment and entry.outcome == "rejected"
        )
        assert read == used + rejected, compartment


@pytest.mark.parametrize(
    ("name", "rows"),
    [("cpg0043_BR00116991/BR00116991-A01-1", 109), ("example_human", 289)],
    ids=["cpg0043", "ExampleHuman"],
)
def test_joined_real_plate_every_value_equals_pandas(test_data: Path, name: str, rows: int) -> None:
    sources = one_plate(test_data / name, plate_id="P")
    joined, log = join_plate(sources)
    found = joined.to_pandas()
    truth = pandas_join(test_data / name)
    assert len(found) == len(truth) == rows
    own = set(JOINED_PROFILES.schema.names)
    source_keys = {f"Metadata_{c}_ImageNumber" for c in ("Cells", "Cytoplasm", "Nuclei")}
    source_keys.add("Image_ImageNumber")
    measured = [column for column in truth.columns if column not in source_keys]
    assert set(measured) == set(found.columns) - own
    order = "Metadata_Cells_ObjectNumber"
    found, truth = (table.sort_values(order, ignore_index=True) for table in (found, truth))
    assert found.Metadata_ImageNumber.tolist() == truth.Metadata_Cells_ImageNumber.tolist()
    text = pd.read_csv(test_data / name / "Image.csv", dtype=str)
    for column in measured:
        expected = truth[column]
        if found[column].dtype == object:
            # Text, where pandas may have read a number.
            expected = text[column.removeprefix("Image_")].iloc[[0] * rows]
            assert found[column].tolist() == expected.tolist() or expected.isna().all(), column
        else:
            assert found[column].equals(expected.astype(found[column].dtype)), column
    check_books(sources, joined, log)


def test_joined_sample_every_nucleus_is_the_true_one(small_sample: SampleTruth) -> None:
    plates = find_plates(Dataset(dataset_id="s", root=small_sample.root))
    orphans = 0
    for key, sources in plates.items():
        joined, log = join_plate(sources)
        check_books(sources, joined, log)
        orphans += log.count("object", reason="no_child")
        truth = {
            (cell.well, str(cell.site), cell.cell_number): cell
            for cell in small_sample.cells
            if cell.plate == key.plate_id
        }
        assert joined.num_rows == len(truth)
        by_number = 0
        for row in joined.to_pylist():
            cell = truth[row["well_id"], row["site_id"], row["Metadata_ObjectNumber"]]
            assert row["Metadata_Nuclei_ObjectNumber"] == cell.nucleus_number
            assert row["Nuclei_AreaShape_Area"] == cell.nucleus_area_px
            assert row["Cells_AreaShape_Area"] == cell.cell_area_px
            assert row["Metadata_Cytoplasm_ObjectNumber"] == cell.cell_number
            box = [row[f"Metadata_SourceBBox{end}"] for end in ("XMin", "YMin", "XMax", "YMax")]
            true_box = cell.cell_box
            assert box == [true_box.x_min, true_box.y_min, true_box.x_max, true_box.y_max]
            expected = object_id(row["image_id"], "Cells", cell.cell_number, box)
            assert row["Metadata_ObjectID"] == expected
            by_number += cell.cell_number == cell.nucleus_number
        # A join by equal numbers would give other nuclei to most cells.
        assert by_number < joined.num_rows / 2
        assert len(set(joined["Metadata_ObjectID"].to_pylist())) == joined.num_rows
    assert orphans == small_sample.orphan_nuclei > 0


@pytest.fixture
def plate(tmp_path: Path) -> Callable[..., PlateSources]:
    """Makes a plate of one image set with these rows."""

    def make(tables: dict[str, list], **options: object) -> PlateSources:
        image = image_row(1, Metadata_Well="A01", Metadata_Site="1")
        write_folder(tmp_path / "P", {"Image": [image], **tables})
        return one_plate(tmp_path / "P", **options)

    return make


def test_joined_names_and_keys(plate: Callable[..., PlateSources]) -> None:
    joined, _ = join_plate(plate(cells_and_nuclei()))
    (first, _) = joined.to_pylist()
    expected = {
        "plate_id": "P",
        "Metadata_Plate": "P",
        "Metadata_Well": "A01",
        "Metadata_Site": "1",
        "Metadata_ImageNumber": 1,
        "Metadata_ObjectNumber": 1,
        "Metadata_Cells_Parent_Nuclei": 2,
        "Metadata_Nuclei_ObjectNumber": 2,
        "Cells_AreaShape_Area": 101.0,
        "Cytoplasm_AreaShape_Area": 201.0,
        "Nuclei_AreaShape_Area": 302.0,
        "Image_Metadata_Well": "A01",
        "Metadata_SourceBBoxXMin": None,
        "Metadata_SourceFolder": "",
    }
    assert {name: first[name] for name in expected} == expected
    features = [name for name in first if name.startswith(("Cells_", "Nuclei_", "Cytoplasm_"))]
    assert all("Number" not in name and "Parent" not in name for name in features)


def test_joined_duplicate_objects_are_left_out(plate: Callable[..., PlateSources]) -> None:
    tables = cells_and_nuclei(1, ((1, 2), (2, 1), (3, 3)))
    tables["Cells"].append(dict(tables["Cells"][0]))
    sources = plate(tables)
    joined, log = join_plate(sources)
    assert joined["Metadata_ObjectNumber"].to_pylist() == [2, 3]
    assert log.by_reason() == {"duplicate_key": 2, "no_child": 1, "no_parent": 1}
    check_books(sources, joined, log)


def test_joined_cell_without_nucleus_keeps_its_row(plate: Callable[..., PlateSources]) -> None:
    tables = cells_and_nuclei()
    tables["Cells"][0] = {**tables["Cells"][0], "Parent_Nuclei": 0}
    sources = plate(tables)
    joined, log = join_plate(sources)
    assert joined["Nuclei_AreaShape_Area"].to_pylist() == [None, 301.0]
    (incomplete,) = [entry for entry in log if entry.outcome == "incomplete"]
    assert (incomplete.reason, incomplete.object_number) == ("no_nuclei", 1)
    assert (incomplete.source_file, incomplete.source_row) == ("Cells.csv", 1)
    check_books(sources, joined, log)


def test_joined_cell_of_two_children_takes_the_lowest(plate: Callable[..., PlateSources]) -> None:
    tables = cells_and_nuclei()
    tables["Cytoplasm"].append({**tables["Cytoplasm"][0], "ObjectNumber": 3})
    sources = plate(tables)
    joined, log = join_plate(sources)
    assert joined["Metadata_Cytoplasm_ObjectNumber"].to_pylist() == [1, 2]
    assert log.by_reason() == {"extra_child": 1}
    check_books(sources, joined, log)


def test_joined_by_way_of_another_compartment(plate: Callable[..., PlateSources]) -> None:
    tables = cells_and_nuclei()
    expected, _ = join_plate(plate(tables))
    for row in tables["Cells"]:
        del row["Parent_Nuclei"]
    found, log = join_plate(plate(tables))
    assert not len(log)
    names = [name for name in found.column_names if name in expected.column_names]
    assert len(names) == expected.num_columns - 1
    assert found.select(names).equals(expected.select(names))


def test_joined_without_parent_columns_is_an_error(plate: Callable[..., PlateSources]) -> None:
    tables = cells_and_nuclei()
    for row in (*tables["Cells"], *tables["Cytoplasm"]):
        del row["Parent_Nuclei"]
    with pytest.raises(JoinError, match="Nuclei cannot be joined to Cells"):
        join_plate(plate(tables))


@pytest.mark.parametrize(
    ("compartment", "column", "joined", "other"),
    [
        ("Metadata", "Plate", "Metadata_Plate", "a column that identifies the row"),
        ("Metadata", "ObjectID", "Metadata_ObjectID", "a column that identifies the row"),
        ("Cells_Deep", "Area", "Cells_Deep_Area", "Deep_Area of Cells.csv"),
    ],
)
def test_joined_two_columns_of_one_name_are_an_error(
    plate: Callable[..., PlateSources], compartment: str, column: str, joined: str, other: str
) -> None:
    cells = [row | {"Deep_Area": 1} for row in cells_and_nuclei()["Cells"]]
    numbers = [row["ObjectNumber"] for row in cells]
    own = [{"ImageNumber": 1, "ObjectNumber": n, "Parent_Cells": n, column: 5} for n in numbers]
    sources = plate({"Cells": cells, compartment: own})
    dataset = replace(sources.dataset, compartments=("Cells", compartment))
    message = f"{column} of {compartment}.csv would be {joined} .*, which is {other}"
    with pytest.raises(JoinError, match=message):
        join_plate(replace(sources, dataset=dataset))


def test_joined_nuclei_and_cells_only(plate: Callable[..., PlateSources]) -> None:
    tables = cells_and_nuclei()
    del tables["Cytoplasm"]
    joined, log = join_plate(plate(tables))
    assert joined["Nuclei_AreaShape_Area"].to_pylist() == [302.0, 301.0]
    assert len(log) == 0


def test_joined_custom_compartment_alone(plate: Callable[..., PlateSources]) -> None:
    sources = plate({"Colonies": cells_and_nuclei()["Nuclei"]})
    joined, log = join_plate(sources)
    assert joined["Colonies_AreaShape_Area"].to_pylist() == [301.0, 302.0]
    ids = [object_id(i, "Colonies", n, [None] * 4) for i, n in zip(
        joined["image_id"].to_pylist(), [1, 2], strict=True)]  # fmt: skip
    assert joined["Metadata_ObjectID"].to_pylist() == ids
    assert len(log) == 0


def test_joined_image_set_without_cells_gives_no_row(tmp_path: Path) -> None:
    images = [image_row(n, Metadata_Well=f"A0{n}", Metadata_Site="1") for n in (1, 2)]
    tables = cells_and_nuclei(1)
    tables["Nuclei"] += cells_and_nuclei(2)["Nuclei"]
    write_folder(tmp_path, {"Image": images, **tables})
    sources = one_plate(tmp_path)
    joined, log = join_plate(sources)
    assert joined["well_id"].to_pylist() == ["A01", "A01"]
    assert log.by_reason() == {"no_child": 2}
    check_books(sources, joined, log)


def test_joined_box_map_is_used(plate: Callable[..., PlateSources]) -> None:
    sources = plate(cells_and_nuclei())
    edges = {
        "x_min": "Cells_AreaShape_Area",
        "y_min": "Nuclei_AreaShape_Area",
        "x_max": "Cytoplasm_AreaShape_Area",
        "y_max": "Metadata_Cells_ObjectNumber",
    }
    images = replace(sources.dataset.images, bbox_column_map=edges)
    joined, _ = join_plate(replace(sources, dataset=replace(sources.dataset, images=images)))
    assert joined["Metadata_SourceBBoxXMin"].to_pylist() == [101.0, 102.0]
    assert joined["Metadata_SourceBBoxYMin"].to_pylist() == [302.0, 301.0]
    assert joined["Metadata_SourceBBoxYMax"].to_pylist() == [1.0, 2.0]
    types = {joined.schema.field(f"Metadata_SourceBBox{e}").type for e in ("XMin", "YMax")}
    assert types == {pa.float64()}


def test_joined_box_map_that_does_not_fit_is_an_error(plate: Callable[..., PlateSources]) -> None:
    sources = plate(cells_and_nuclei())
    images = replace(sources.dataset.images, bbox_column_map=dict.fromkeys(
        ("x_min", "x_max", "y_min", "y_max"), "Cells_Nothing"))  # fmt: skip
    wrong = replace(sources, dataset=replace(sources.dataset, images=images))
    with pytest.raises(BoxColumnsError, match="Cells_Nothing"):
        join_plate(wrong)


@pytest.mark.parametrize("rows_at_once", [1, 10, 10**6])
def test_joined_does_not_depend_on_how_much_is_joined_at_once(
    small_sample: SampleTruth, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = next(iter(find_plates(Dataset(dataset_id="s", root=small_sample.root)).values()))
    expected, _ = join_plate(sources)
    monkeypatch.setattr(joined_module, "ROWS_AT_ONCE", rows_at_once)
    joined, _ = join_plate(sources)
    assert joined.equals(expected)


def test_joined_takes_the_image_columns_that_are_asked_for(
    plate: Callable[..., PlateSources],
) -> None:
    image = image_row(Count_Cells=2, Granularity_1_DNA=0.5, Threshold_DNA=0.1)
    tables = {**cells_and_nuclei(), "Image": [image]}
    everything, _ = join_plate(plate(tables))
    of_image = [name for name in everything.column_names if name.startswith("Image_")]
    assert {"Image_Count_Cells", "Image_Granularity_1_DNA"} < {*of_image}
    some, log = join_plate(plate(tables, image_columns=("Count_*", "Granularity_?_DNA")))
    kept = [name for name in some.column_names if name.startswith("Image_")]
    assert kept == ["Image_Count_Cells", "Image_Granularity_1_DNA"]
    assert not len(log)
    none, _ = join_plate(plate(tables, image_columns=()))
    assert none.column_names == [n for n in everything.column_names if n not in of_image]


def test_joined_image_columns_that_are_not_there_are_in_the_books(
    plate: Callable[..., PlateSources],
) -> None:
    _, log = join_plate(plate(cells_and_nuclei(), image_columns=("Metadata_*", "Cuont_*")))
    assert [(one.reason, one.detail) for one in log] == [
        (
            "no_such_column",
            "image_columns has 'Cuont_*', which fits no column of the Image table; mend the "
            "pattern, or leave it out",
        )
    ]


@pytest.mark.parametrize("nothing", ["", "nan"])
def test_joined_rows_without_any_value_can_be_dropped(
    plate: Callable[..., PlateSources], nothing: str
) -> None:
    tables = cells_and_nuclei(pairs=((1, 1), (2, 2), (3, 3)))
    for compartment in ("Cells", "Cytoplasm", "Nuclei"):
        tables[compartment][1]["AreaShape_Area"] = nothing
    tables["Cells"][2]["AreaShape_Area"] = nothing
    kept, log = join_plate(plate(tables))
    assert kept["Metadata_ObjectNumber"].to_pylist() == [1, 2, 3]
    sources = plate(tables, drop_empty_rows=True)
    kept, log = join_plate(sources)
    assert kept["Metadata_ObjectNumber"].to_pylist() == [1, 3]
    assert [(one.reason, one.compartment, one.object_number, one.source_row) for one in log] == [
        ("no_values", name, 2, 2) for name in ("Cells", "Cytoplasm", "Nuclei")
    ]
    check_books(sources, kept, log)


def test_joined_nucleus_of_a_dropped_and_a_kept_row_is_used(
    plate: Callable[..., PlateSources],
) -> None:
    tables = cells_and_nuclei(pairs=((1, 1), (2, 2), (3, 2), (4, 2)))
    tables["Nuclei"] = tables["Nuclei"][:2]
    for compartment in ("Cells", "Cytoplasm"):
        for row in tables[compartment][1:3]:
            row["AreaShape_Area"] = ""
    sources = plate(tables, drop_empty_rows=True)
    kept, log = join_plate(sources)
    assert kept["Metadata_ObjectNumber"].to_pylist() == [1, 2, 3, 4]
    tables["Nuclei"][1]["AreaShape_Area"] = ""
    sources = plate(tables, drop_empty_rows=True)
    kept, log = join_plate(sources)
    assert kept["Metadata_Nuclei_ObjectNumber"].to_pylist() == [1, 2]
    assert [(one.compartment, one.object_number) for one in log] == [
        ("Cells", 2), ("Cells", 3), ("Cytoplasm", 2), ("Cytoplasm", 3)
    ]  # fmt: skip
    check_books(sources, kept, log)
