from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from cp_assets.datasets.model import PlateSources
from cp_assets.errors import ConfigurationError
from cp_assets.images import ChannelFile, ImageSet
from cp_assets.images.overlays import OverlayFinder, OverlayMatch
from cp_assets_tests.images.plates import SHAPE, Plate, crop, make_set, profile_rows

BOX = [(0.0, 0.0, 5.0, 4.0)]


def _given(plate: Plate, *names: str, **options: Any) -> PlateSources:
    """The plate with a folder of outlines of these names."""
    folder = plate.root / "outlines"
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return dataclasses.replace(plate.with_options(**options), outline_dir=folder)


def _find(
    sources: PlateSources, image_set: ImageSet, channel: int = 0, compartment: str = "Cells"
) -> OverlayMatch:
    file = image_set.channels[channel]
    finder = OverlayFinder(sources, [image_set], compartment)
    return finder.find("outline", image_set, file, f"PlateA/{file.file_name}")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["A01_s1_DNA.tif"], "A01_s1_DNA.tif"),
        (["A01_s1_DNA.png"], "A01_s1_DNA.png"),
        (["PlateA/A01_s1_DNA.tif", "PlateB/A01_s1_DNA.tif"], "PlateA/A01_s1_DNA.tif"),
        (["A01_s1_ER.png"], "A01_s1_ER.png"),
        (["A01_s1_ER.png", "A01_s1_DNA.png"], "A01_s1_DNA.png"),
        (["cells/A01_s1_DNA.png", "nuclei/A01_s1_DNA.png"], "cells/A01_s1_DNA.png"),
        (["A01_s2_DNA.png", "other.png"], None),
    ],
    ids=["name", "stem", "relative", "any-channel", "own-channel", "compartment-folder", "none"],
)
def test_overlays_are_named_like_the_image(
    plate: Plate, names: list[str], expected: str | None
) -> None:
    match = _find(_given(plate, *names), plate.sets[0])
    assert match.relative == expected
    assert not match.candidates


def test_overlays_that_could_both_be_are_listed(plate: Plate) -> None:
    match = _find(_given(plate, "x/A01_s1_DNA.png", "y/A01_s1_DNA.png"), plate.sets[0])
    assert match.path is None
    assert match.candidates == ("x/A01_s1_DNA.png", "y/A01_s1_DNA.png")


@pytest.mark.parametrize(
    ("compartment", "expected"),
    [("Cells", "a--cell_outlines.png"), ("Nuclei", "a--NucleiOutlines.png"), ("Cytoplasm", None)],
)
def test_overlays_saved_by_the_pipeline_are_chosen_by_compartment(
    plate: Plate, compartment: str, expected: str | None
) -> None:
    saved = tuple(
        ChannelFile(name, file, "/output")
        for name, file in (("C", "a--cell_outlines.png"), ("N", "a--NucleiOutlines.png"))
    )
    image_set = dataclasses.replace(plate.sets[0], saved=saved)
    sources = _given(plate, "a--cell_outlines.png", "a--NucleiOutlines.png", "A01_s1_DNA.png")
    match = _find(sources, image_set, compartment=compartment)
    assert match.relative == expected
    assert bool(match.candidates) == (expected is None)


@pytest.mark.parametrize(
    ("patterns", "names", "expected"),
    [
        (
            {r".*_outline\.tiff$": r"(A01_s1)_\w+\.tif$"},
            ["a01_S1_outline.tiff"],
            "a01_S1_outline.tiff",
        ),
        (
            {r"_outline": r"(A01_s1)"},
            ["A01_s10_outline.tif", "A01_s1_outline.tif"],
            "A01_s1_outline.tif",
        ),
        (
            {r"_outline": r"^([A-Z]\d+)_s(\d+)"},
            ["A01-1_outline.tif", "A01-2_outline.tif"],
            "A01-1_outline.tif",
        ),
        (
            {r"^seg": r"DNA\.tif$"},
            ["seg_A01_s1_DNA.tif", "seg_A01_s2_DNA.tif"],
            "seg_A01_s1_DNA.tif",
        ),
        ({r"^seg": r"(B02)"}, ["seg_B02.tif", "A01_s1_DNA.png"], "A01_s1_DNA.png"),
    ],
    ids=["tutorial", "not-site-10", "two-groups", "no-groups", "falls-back"],
)
def test_overlays_follow_the_users_patterns(
    plate: Plate, patterns: dict[str, str], names: list[str], expected: str
) -> None:
    sources = _given(plate, *names, segmentation_file_regex=patterns)
    assert _find(sources, plate.sets[0]).relative == expected


def test_overlays_with_a_bad_pattern_raise(plate: Plate) -> None:
    sources = _given(plate, segmentation_file_regex={"(": "x"})
    with pytest.raises(
        ConfigurationError, match=r"segmentation_file_regex '\(': 'x' is not a valid"
    ):
        OverlayFinder(sources, plate.sets, "Cells")


def _gallery(plate: Plate, folder: str, *names: str) -> PlateSources:
    for name in names:
        path = plate.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    dataset = dataclasses.replace(plate.sources.dataset, layout="cell-painting-gallery")
    return dataclasses.replace(plate.sources, dataset=dataset)


def test_overlays_of_a_gallery_site_need_no_name(plate: Plate) -> None:
    sources = _gallery(
        plate, "analysis/P-A01-1", "outlines/cell.png", "outlines/nuclei.png", "masks/m.png"
    )
    image_set = make_set("A01", "1", "analysis/P-A01-1")
    assert _find(sources, image_set).relative == "analysis/P-A01-1/outlines/cell.png"
    assert _find(sources, image_set, 1, "Nuclei").relative == "analysis/P-A01-1/outlines/nuclei.png"


def test_overlays_of_a_gallery_folder_of_many_sites_need_well_and_site(plate: Plate) -> None:
    names = ("A01_s1--cell_outlines.png", "A01_s10--cell_outlines.png", "A1-2.png", "A12_s1.png")
    sources = _gallery(plate, "analysis/P", *(f"outlines/{name}" for name in names))
    sets = [make_set("A01", site, "analysis/P") for site in ("1", "2", "3", "10")]
    finder = OverlayFinder(sources, sets, "Cells")
    found = [
        finder.find("outline", s, s.channels[0], s.channels[0].file_name).relative for s in sets
    ]
    assert found == [
        "analysis/P/outlines/A01_s1--cell_outlines.png",
        "analysis/P/outlines/A1-2.png",
        None,
        "analysis/P/outlines/A01_s10--cell_outlines.png",
    ]


def _write(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".png":
        Image.fromarray(pixels).save(path)
    else:
        tifffile.imwrite(path, pixels)


def test_crops_take_the_outline_for_the_label_else_the_mask(plate: Plate) -> None:
    rng = np.random.default_rng(3)
    outline = rng.integers(0, 2, SHAPE).astype(bool)
    mask = rng.integers(0, 9, SHAPE).astype(np.uint16)
    _write(plate.root / "o" / "A01_s1_DNA.png", outline)
    _write(plate.root / "m" / "A01_s1_ER.tiff", mask)
    both = dataclasses.replace(
        plate.sources, outline_dir=plate.root / "o", mask_dir=plate.root / "m"
    )
    from cp_assets.payloads import payload_planes

    for sources, kind, label in (
        (both, "outline", outline),
        (dataclasses.replace(both, outline_dir=None), "mask", mask),
        (plate.sources, None, None),
    ):
        table = crop([profile_rows(plate.sets[0], BOX)], plate.sets, sources).table
        assert table["label_source_kind"].to_pylist() == [kind, kind]
        if label is None:
            # The plate has no overlay at all: the column is left out and reads as null.
            assert "ome_arrow_label" not in table.column_names
            continue
        for plane in payload_planes(table["ome_arrow_label"]):
            np.testing.assert_array_equal(plane, label[:4, :5])
            assert plane is not None
            assert plane.dtype == label.dtype
    table = crop([profile_rows(plate.sets[0], BOX)], plate.sets, both).table
    assert table["source_outline_path"].to_pylist() == ["A01_s1_DNA.png"] * 2
    assert table["source_mask_path"].to_pylist() == ["A01_s1_ER.tiff"] * 2
    assert table["ome_arrow_mask"][0].as_py()["image_type"] == "label"


def test_crops_mix_labels_where_only_one_channel_has_an_outline(plate: Plate) -> None:
    _write(plate.root / "o" / "A01_s1_DNA.tif", np.ones(SHAPE, np.uint8))
    _write(plate.root / "o" / "A01_s1_ER.tif", np.ones((9, 9), np.uint8))
    _write(plate.root / "m" / "A01_s1_DNA.tif", np.full(SHAPE, 2, np.int32))
    sources = dataclasses.replace(
        plate.sources, outline_dir=plate.root / "o", mask_dir=plate.root / "m"
    )
    result = crop([profile_rows(plate.sets[0], BOX)], plate.sets, sources)
    assert result.table["label_source_kind"].to_pylist() == ["outline", "mask"]
    assert [v["pixels_meta"]["type"] for v in result.table["ome_arrow_label"].to_pylist()] == [
        "uint8",
        "int32",
    ]
    (entry,) = result.log
    assert (entry.reason, entry.outcome, entry.kind) == ("overlay_shape", "incomplete", "image")
    assert "(1, 1, 9, 9)" in entry.detail


@pytest.mark.parametrize("reason", ["ambiguous_overlay", "unreadable_overlay"])
def test_crops_without_a_usable_overlay_are_still_written(plate: Plate, reason: str) -> None:
    names = (
        ("x/A01_s1_DNA.png", "y/A01_s1_DNA.png")
        if reason == "ambiguous_overlay"
        else ("A01_s1_DNA.png",)
    )
    result = crop([profile_rows(plate.sets[0], BOX)], plate.sets, _given(plate, *names))
    assert result.table.num_rows == 2
    assert result.table["ome_arrow_label"].null_count == 2
    assert result.reasons == {reason: 1}
    assert all(entry.outcome == "incomplete" for entry in result.log)
    assert "A01_s1_DNA.png" in result.log.entries[0].detail
