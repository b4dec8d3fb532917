"""One overlay, several image sets: whose it is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cp_assets.datasets.model import PlateSources
from cp_assets.images import ChannelFile, ImageSet
from cp_assets.images.overlays import OverlayFinder, OverlayMatch
from cp_assets_tests.images.plates import Plate, make_set


def _plate(plate: Plate, root: Path, images: list[str], outlines: list[str]) -> PlateSources:
    for folder, names in (("i", images), ("o", outlines)):
        (root / folder).mkdir()
        for name in names:
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (root / folder / name).touch()
    return dataclasses.replace(plate.sources, image_dir=root / "i", outline_dir=root / "o")


def _set(well: str, *files: str, saved: str = "", frame: int = 0) -> ImageSet:
    channels = tuple(
        ChannelFile(f"C{number}", Path(file).name, f"/acq/{Path(file).parent}", frame=frame)
        for number, file in enumerate(files)
    )
    outline = (ChannelFile("O", Path(saved).name, f"/out/{Path(saved).parent}"),) if saved else ()
    return make_set(well, "1", channels=channels, saved=outline)


def _find(sources: PlateSources, *sets: ImageSet) -> list[OverlayMatch]:
    """The outline of each channel, whose image lies where it was recorded."""
    finder = OverlayFinder(sources, sets, "Cells")
    return [
        finder.find(
            "outline",
            one,
            file,
            f"{file.path_name}/{file.file_name}".removeprefix("/acq/./").removeprefix("/acq/"),
        )
        for one in sets
        for file in one.channels
    ]


def _relatives(matches: list[OverlayMatch]) -> list[str | None]:
    return [match.relative for match in matches]


def test_overlay_of_a_sibling_plate_is_not_used(plate: Plate, tmp_path: Path) -> None:
    sources = _plate(plate, tmp_path, ["s1.tif"], ["PlateB/s1.png"])
    assert _relatives(_find(sources, _set("A01", "s1.tif"))) == ["PlateB/s1.png"]
    beside = dataclasses.replace(sources, siblings=("PlateB",))
    assert _relatives(_find(beside, _set("A01", "s1.tif"))) == [None]


@pytest.mark.parametrize("other", ["s1.tif", "x/s1.tif", "A02/s1.tif"])
def test_overlay_at_the_mirrored_place_goes_before_the_name(
    plate: Plate, tmp_path: Path, other: str
) -> None:
    sources = _plate(plate, tmp_path, ["A01/s1.tif"], [other, "A01/s1.png"])
    assert _relatives(_find(sources, _set("A01", "A01/s1.tif"))) == ["A01/s1.png"]


@pytest.mark.parametrize("saved", [True, False], ids=["saved", "mirrored"])
@pytest.mark.parametrize("folders", [("A01", "A02"), ("left", "right")], ids=["wells", "others"])
def test_missing_overlay_is_not_taken_from_another_image_set(
    plate: Plate, tmp_path: Path, folders: tuple[str, str], saved: bool
) -> None:
    images = [f"{folder}/s1.tif" for folder in folders]
    sources = _plate(plate, tmp_path, images, [f"{folders[1]}/s1.png"])
    sets = [
        _set(well, image, saved=f"{folder}/s1.png" if saved else "")
        for well, folder, image in zip(("A01", "A02"), folders, images, strict=True)
    ]
    lost, own = _find(sources, *sets)
    assert lost.path is None
    assert own.relative == f"{folders[1]}/s1.png"
    if folders[0] == "left":
        assert lost.reason == "ambiguous_overlay"
        assert lost.candidates == ("right/s1.png",)
        assert "well A02, site 1" in (lost.detail or "")


def test_overlay_that_two_image_sets_lead_to_alike_is_of_none(plate: Plate, tmp_path: Path) -> None:
    sources = _plate(plate, tmp_path, ["left/s1.tif", "right/s1.tif"], ["moved/s1.png"])
    matches = _find(sources, _set("A01", "left/s1.tif"), _set("A02", "right/s1.tif"))
    assert [match.reason for match in matches] == ["ambiguous_overlay"] * 2


def test_overlay_serves_all_channels_of_its_image_set(plate: Plate, tmp_path: Path) -> None:
    sets = [_set(well, f"{well}_d.tif", f"{well}_e.tif", saved=f"{well}.png") for well in "AB"]
    images = [file.file_name for one in sets for file in one.channels]
    sources = _plate(plate, tmp_path, images, ["x/A.png", "x/B.png"])
    assert _relatives(_find(sources, *sets)) == ["x/A.png"] * 2 + ["x/B.png"] * 2


@pytest.mark.parametrize(("name", "shared"), [("stack.tif", True), ("stack.png", False)])
def test_overlay_of_a_stack_serves_its_planes_if_it_may_hold_them(
    plate: Plate, tmp_path: Path, name: str, shared: bool
) -> None:
    sources = _plate(plate, tmp_path, ["stack.tif"], [name])
    sets = [_set(f"A0{frame}", "stack.tif", frame=frame) for frame in (1, 2)]
    matches = _find(sources, *sets)
    assert _relatives(matches) == [name if shared else None] * 2
    assert [match.shared for match in matches] == [shared] * 2
    assert {match.reason for match in matches} == {None if shared else "ambiguous_overlay"}


def test_overlay_of_an_image_that_was_measured_twice(plate: Plate, tmp_path: Path) -> None:
    sources = _plate(plate, tmp_path, ["s1.tif"], ["s1.png"])
    matches = _find(sources, _set("A01", "s1.tif"), _set("A02", "s1.tif"))
    assert _relatives(matches) == ["s1.png"] * 2
    assert not any(match.shared for match in matches)


def test_overlay_behind_a_link_that_leads_out_is_refused(plate: Plate, tmp_path: Path) -> None:
    sources = _plate(plate, tmp_path, ["A01/s1.tif"], [])
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s1.tif").touch()
    (tmp_path / "o" / "A01").symlink_to(tmp_path / "secret")
    (match,) = _find(sources, _set("A01", "A01/s1.tif"))
    assert (match.path, match.reason) == (None, "unsafe_path")
    (tmp_path / "o" / "A01").unlink()
    (tmp_path / "o" / "s1.png").symlink_to(tmp_path / "secret" / "s1.tif")
    (match,) = _find(sources, _set("A01", "A01/s1.tif"))
    assert (match.path, match.reason) == (None, "unsafe_path")
    assert str(tmp_path / "secret" / "s1.tif") in (match.detail or "")
