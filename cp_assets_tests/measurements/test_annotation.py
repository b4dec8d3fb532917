"""Annotation of joined rows, held against the merges that a user of pandas would write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from cp_assets.datasets import Dataset, PlateKey, PlateSources
from cp_assets.errors import ConfigurationError, MeasurementError
from cp_assets.measurements.annotation import annotated, annotation_fingerprint
from cp_assets.measurements.joined_columns import raw_columns_of
from cp_assets.rejections import RejectionLog

WELLS = ("A01", "A01", "B02", "C03", None)


@pytest.fixture
def plate(tmp_path: Path) -> Callable[..., PlateSources]:
    """Makes plate P with these annotation files, in the plain layout."""

    def make(*contents: str, plate_id: str = "P", **options: object) -> PlateSources:
        paths = []
        for number, content in enumerate(contents, start=1):
            paths.append(tmp_path / f"{number}.csv")
            paths[-1].write_text(content)
        dataset = Dataset(
            dataset_id="set",
            root=tmp_path,
            layout="cellprofiler",
            annotations=tuple(paths),
            **options,  # type: ignore[arg-type]
        )
        return PlateSources(dataset, PlateKey("set", "B", plate_id), ())

    return make


def joined(wells: Sequence[str | None], **columns: list[object]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"well_id": pa.array(wells, pa.string()), **columns})


def annotate(sources: PlateSources, *batches: pa.RecordBatch) -> tuple[pa.Table, RejectionLog]:
    log = RejectionLog()
    found = list(annotated(batches or [joined(WELLS)], sources, log))
    return pa.Table.from_batches(found), log


def test_columns_and_values_are_those_of_a_pandas_merge(
    plate: Callable[..., PlateSources], tmp_path: Path
) -> None:
    rows = ["a1,P,DMSO,0.5,7", "B-2,P,,1e-3,8", "C03,P,x y,,9", "A01,Q,other,9,9"]
    sources = plate("\n".join(["well_position,Metadata_Plate,compound,dose,pert_id", *rows]))
    found, log = annotate(sources)
    truth = pd.read_csv(tmp_path / "1.csv", dtype={"pert_id": str})
    truth = truth[truth["Metadata_Plate"] == "P"].assign(well_id=["A01", "B02", "C03"])
    merged = pd.DataFrame({"well_id": WELLS}).merge(truth, how="left", on="well_id")
    for name in ("compound", "dose", "pert_id", "well_position"):
        truth_values = [None if pd.isna(value) else value for value in merged[name]]
        assert found[f"Metadata_{name}"].to_pylist() == truth_values
    assert found.schema.field("Metadata_dose").type == pa.float64()
    assert found.schema.field("Metadata_pert_id").type == pa.string()
    assert log.by_reason() == {"not_annotated": 1}


def test_batches_agree_whatever_wells_they_hold(plate: Callable[..., PlateSources]) -> None:
    sources = plate("well,dose\nA01,1\nB02,2\n")
    found, _ = annotate(sources, joined(["A01"]), joined(["C03", "B02"]), joined([None]))
    assert found["Metadata_dose"].to_pylist() == [1.0, None, 2.0, None]


def test_what_does_not_match_is_counted(plate: Callable[..., PlateSources]) -> None:
    rows = ["A01,1", "B02,2", "D04,4", "E05,5", "Z99,6", ",7", "what,8", "A01,1"]
    found, log = annotate(plate("\n".join(["well,dose", *rows])))
    assert found["Metadata_dose"].to_pylist() == [1.0, 1.0, 2.0, None, None]
    assert log.by_reason() == {"no_such_well": 2, "no_well": 3, "not_annotated": 2}
    (lost,) = [entry for entry in log if entry.reason == "no_such_well"]
    assert "D04, E05" in lost.detail
    assert (lost.outcome, lost.source_file) == ("rejected", "1.csv")
    assert [entry.source_row for entry in log if entry.reason == "no_well"] == [5, 6, 7]
    wells = {entry.well_id: entry.count for entry in log if entry.reason == "not_annotated"}
    assert wells == {"C03": 1, None: 1}


def test_well_in_two_rows_of_other_values_takes_neither(
    plate: Callable[..., PlateSources],
) -> None:
    found, log = annotate(plate("well,dose\nA01,1\nB02,2\na1,3\n"), joined(["A01", "B02"]))
    assert found["Metadata_dose"].to_pylist() == [None, 2.0]
    (entry,) = [entry for entry in log if entry.reason == "duplicate_key"]
    assert (entry.well_id, entry.count, entry.outcome) == ("A01", 2, "rejected")
    assert "rows 1, 3" in entry.detail


@pytest.mark.parametrize(
    ("rows", "reasons", "told"),
    [
        (
            "A01,1\nA01,2\n",
            {"duplicate_key": 2, "not_annotated": 1},
            "its rows of well A01 contradict each other",
        ),
        ("Z99,1\n", {"no_well": 1, "not_annotated": 1}, "it has no row of well A01"),
    ],
)
def test_plate_whose_only_rows_cannot_be_used_has_rows(
    plate: Callable[..., PlateSources], rows: str, reasons: dict[str, int], told: str
) -> None:
    _, log = annotate(plate(f"well,dose\n{rows}"), joined(["A01"]))
    assert log.by_reason() == reasons
    assert [entry.detail for entry in log if entry.reason == "not_annotated"] == [
        f"{told}: the columns of the file are null"
    ]


def test_plate_in_two_rows_of_other_values_is_told_once(
    plate: Callable[..., PlateSources],
) -> None:
    _, log = annotate(plate("plate,dose\nP,1\nP,2\nQ,3\n"))
    assert log.by_reason() == {"duplicate_key": 2, "plate_not_annotated": 1}
    (entry,) = [entry for entry in log if entry.reason == "plate_not_annotated"]
    assert entry.detail.startswith("its rows of the plate contradict each other")


def test_column_without_any_value_is_left_out(plate: Callable[..., PlateSources]) -> None:
    found, log = annotate(plate("well,dose,pert_id\nA01,,\n", "well,dose\nB02,\n"))
    assert found.column_names == ["well_id", "Metadata_pert_id"]
    assert set(log.by_reason()) == {"not_annotated"}
    asked_for = plate("well,dose\nA01,\n", column_types={"Metadata_dose": "int"})
    assert annotate(asked_for)[0].schema.field("Metadata_dose").type == pa.int64()


def test_first_file_wins_and_conflicts_are_named(plate: Callable[..., PlateSources]) -> None:
    sources = plate(
        "well,dose,by\nA01,1,me\nB02,,me\n", "Well,Dose,day\nA01,9,3\nB02,2,3\nC03,5,3\n"
    )
    found, log = annotate(sources, joined(["A01", "B02", "C03"]))
    assert found["Metadata_dose"].to_pylist() == [1.0, 2.0, 5.0]
    assert found["Metadata_by"].to_pylist() == ["me", "me", None]
    assert found["Metadata_day"].to_pylist() == [3.0, 3.0, 3.0]
    assert "Metadata_Dose" not in found.column_names
    (conflict,) = [entry for entry in log if entry.reason == "annotation_conflict"]
    assert conflict.source_file == "2.csv"
    assert "Metadata_dose has another value in 1.csv for 1 well(s), such as A01" in conflict.detail


@pytest.mark.parametrize("column", ["Metadata_Site", "SITE", "ObjectID", "Cells_Parent_Nuclei"])
def test_columns_of_ours_are_never_overwritten(
    plate: Callable[..., PlateSources], column: str
) -> None:
    batch = joined(
        ["A01"],
        Metadata_Site=["1"],
        Metadata_ObjectID=["id"],
        Metadata_Cells_ObjectNumber=[1],
        Metadata_Cells_Parent_Nuclei=[7],
    )
    found, log = annotate(plate(f"well,{column},dose\nA01,99,1\n"), batch)
    assert found.select(batch.schema.names).to_batches()[0].equals(batch)
    assert found.column_names == [*batch.schema.names, "Metadata_dose"]
    (conflict,) = [entry for entry in log if entry.reason == "annotation_conflict"]
    assert column.removeprefix("Metadata_") in conflict.detail


def test_columns_that_begin_like_a_compartment_are_annotation_not_measured() -> None:
    names = ["Metadata_Cells_ObjectNumber", "Cells_AreaShape_Area", "Image_Count_Cells"]
    ours = ["Metadata_Cells_seeded", "Metadata_Image_quality", "Metadata_mmoles_per_liter"]
    assert raw_columns_of([*names, *ours]) == {
        "Metadata_Cells_ObjectNumber": "ObjectNumber",
        "Cells_AreaShape_Area": "AreaShape_Area",
        "Image_Count_Cells": "Count_Cells",
    }


def test_file_of_plates_annotates_all_wells(plate: Callable[..., PlateSources]) -> None:
    found, log = annotate(plate("Metadata_Plate,cell_line\nP,U2OS\nQ,A549\n"))
    assert found["Metadata_cell_line"].to_pylist() == ["U2OS"] * len(WELLS)
    assert len(log) == 0


def test_plate_without_a_row_is_told_once(plate: Callable[..., PlateSources]) -> None:
    found, log = annotate(plate("plate,well,dose\nQ,A01,1\n"))
    assert found["Metadata_dose"].null_count == len(WELLS)
    assert found.schema.field("Metadata_dose").type == pa.float64()
    assert log.by_reason() == {"plate_not_annotated": 1}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "empty_file"),
        ("well,dose\n", "header_only"),
        ("well,dose\nA01,1,surplus\n", "column_count"),
        ("well,dose,\nA01,1,surplus\n", "no_column_name"),
    ],
)
def test_poor_files_are_in_the_books(
    plate: Callable[..., PlateSources], content: str, reason: str
) -> None:
    found, log = annotate(plate(content))
    assert found.num_rows == len(WELLS)
    (entry,) = [entry for entry in log if entry.reason == reason]
    assert entry.source_file == "1.csv"


@pytest.mark.parametrize(("kind", "value"), [("float", "low"), ("int", "1.5")])
def test_value_that_is_no_number_is_empty_where_a_number_was_asked_for(
    plate: Callable[..., PlateSources], kind: str, value: str
) -> None:
    sources = plate(f"well,dose\nA01,{value}\nB02,2\n", column_types={"Metadata_dose": kind})
    found, log = annotate(sources)
    assert found["Metadata_dose"].to_pylist() == [None, None, 2.0, None, None]
    (entry,) = [entry for entry in log if entry.reason == "not_a_number"]
    assert entry.source_row == 1


def test_file_without_wells_and_plates_is_an_error(plate: Callable[..., PlateSources]) -> None:
    with pytest.raises(MeasurementError, match=r"1\.csv has no column of wells .*Metadata_Well"):
        annotate(plate("compound,dose\nx,1\n"))


def test_file_that_is_not_there_is_an_error(plate: Callable[..., PlateSources]) -> None:
    sources = plate("well,dose\n")
    (path,) = sources.dataset.annotations
    path.unlink()
    with pytest.raises(ConfigurationError, match=r"annotations names .*1\.csv, which is no file"):
        annotation_fingerprint(sources)


def test_fingerprint_changes_with_the_plates_own_columns_only(
    plate: Callable[..., PlateSources], tmp_path: Path
) -> None:
    sources = plate("well,dose\nA01,1\n")
    before = annotation_fingerprint(sources)
    assert annotation_fingerprint(sources) == before
    typed = replace(sources.dataset, column_types={"Metadata_dose": "string"})
    assert annotation_fingerprint(replace(sources, dataset=typed)) != before
    (tmp_path / "1.csv").write_text("well,dose\nA01,22\n")
    assert annotation_fingerprint(sources) != before
