"""What lies in the image folder and is no source image, and links that lead out of it."""

from __future__ import annotations

import dataclasses
import os
import unicodedata
from pathlib import Path

import pytest

from cp_assets.datasets.model import PlateSources
from cp_assets.images import ChannelFile
from cp_assets.images.resolve import ImageResolver, ResolvedImage, UnresolvedImage
from cp_assets_tests.images.plates import Plate, make_set

NFC, NFD = (unicodedata.normalize(form, "Zellfärbung/é_s1.tif") for form in ("NFC", "NFD"))


@pytest.fixture
def sources(plate: Plate, tmp_path: Path) -> PlateSources:
    """The plate with an empty image folder."""
    (tmp_path / "other").mkdir()
    return dataclasses.replace(plate.sources, image_dir=tmp_path / "other")


@pytest.fixture
def root(sources: PlateSources) -> Path:
    """The image folder."""
    assert sources.image_dir
    return sources.image_dir


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def _resolve(
    sources: PlateSources, path: str, *saved: str, follow: bool = False
) -> ResolvedImage | UnresolvedImage:
    if follow:
        images = dataclasses.replace(sources.dataset.images, follow_links=True)
        dataset = dataclasses.replace(sources.dataset, images=images)
        sources = dataclasses.replace(sources, dataset=dataset)
    file, *files = (ChannelFile("X", *reversed(os.path.split(one))) for one in (path, *saved))
    image_set = make_set("A01", "1", channels=(file,), saved=tuple(files))
    return ImageResolver(sources, [image_set]).resolve(image_set, file)


def _relative(found: ResolvedImage | UnresolvedImage) -> str:
    assert isinstance(found, ResolvedImage), found
    return found.relative


def _reason(found: ResolvedImage | UnresolvedImage) -> str:
    assert isinstance(found, UnresolvedImage), found
    return found.reason


@pytest.mark.parametrize("kind", ["mask_dir", "outline_dir"])
def test_overlay_folders_hold_no_source_images(
    sources: PlateSources, root: Path, kind: str
) -> None:
    _touch(root, "segmented/A01/s1.tif", "segmented/s1.tif")
    given = dataclasses.replace(sources, **{kind: root / "segmented"})
    assert _reason(_resolve(given, "/acq/s1.tif")) == "missing_image"
    assert _reason(_resolve(given, "/acq/s1.png")) == "missing_image"
    assert _relative(_resolve(given, "/out/segmented/s1.tif")) == "segmented/s1.tif"
    _touch(root, "images/s1.tif")
    assert _relative(_resolve(given, "/acq/s1.tif")) == "images/s1.tif"


@pytest.mark.parametrize("place", [".", ".."])
def test_overlay_folder_that_is_the_image_folder_hides_nothing(
    sources: PlateSources, root: Path, place: str
) -> None:
    _touch(root, "x/s1.tif")
    given = dataclasses.replace(sources, outline_dir=root / place)
    assert _relative(_resolve(given, "/acq/s1.tif")) == "x/s1.tif"


def test_gallery_overlays_hold_no_source_images(sources: PlateSources, root: Path) -> None:
    from cp_assets.datasets.model import MeasurementFolder

    _touch(root, "analysis/P-A01-1/outlines/s1.png")
    folder = MeasurementFolder(root / "analysis/P-A01-1", "analysis/P-A01-1", "A01", "1", tables={})
    dataset = dataclasses.replace(sources.dataset, layout="cell-painting-gallery", root=root)
    given = dataclasses.replace(sources, dataset=dataset, folders=(folder,))
    assert _reason(_resolve(given, "/acq/s1.tif")) == "missing_image"


def test_saved_files_are_no_source_images(sources: PlateSources, root: Path) -> None:
    _touch(root, "deep/s1.png", "deep/s1.jpg")
    saved = ("/out/s1.png", "/out/deep/s1.jpg")
    assert _reason(_resolve(sources, "/acq/s1.tif", *saved)) == "missing_image"
    assert _relative(_resolve(sources, "/acq/deep/s1.jpg", *saved)) == "deep/s1.jpg"
    _touch(root, "converted/s1.bmp")
    assert _relative(_resolve(sources, "/acq/s1.tif", *saved)) == "converted/s1.bmp"


def test_saved_file_of_the_source_images_name_is_told_by_its_folder(
    sources: PlateSources, root: Path
) -> None:
    _touch(root, "out/s1.tif")
    assert _relative(_resolve(sources, "/acq/s1.tif", "/elsewhere/s1.tif")) == "out/s1.tif"
    assert _reason(_resolve(sources, "/acq/s1.tif", "/run/out/s1.tif")) == "missing_image"


@pytest.mark.parametrize("recorded", [NFC, NFD], ids=["composed", "decomposed"])
@pytest.mark.parametrize("on_disk", [NFC, NFD], ids=["on-composed", "on-decomposed"])
def test_unicode_forms_of_one_name_are_the_same(
    plate: Plate, sources: PlateSources, root: Path, recorded: str, on_disk: str
) -> None:
    _touch(root, on_disk)
    for path in (f"/acq/{recorded}", f"/acq/{Path(recorded).name}", f"{recorded[:-3]}png"):
        found = _resolve(sources, path)
        assert _relative(found) == on_disk
        assert isinstance(found, ResolvedImage)
        assert found.path.is_file()
    mapped = _resolve(plate.with_options(path_prefix_map={"/acq": str(root)}), f"/acq/{recorded}")
    assert isinstance(mapped, ResolvedImage)
    assert mapped.path == root / on_disk


def test_unicode_forms_that_are_two_files_are_told_apart(sources: PlateSources, root: Path) -> None:
    _touch(root, NFC, NFD)
    if len(list(root.iterdir())) == 1:
        pytest.skip("this file system knows one form only")
    assert [_relative(_resolve(sources, f"/acq/{one}")) for one in (NFC, NFD)] == [NFC, NFD]


def _secret(tmp_path: Path) -> Path:
    _touch(tmp_path, "secret/s1.tif")
    return tmp_path / "secret"


@pytest.mark.parametrize(
    ("link", "record"),
    [
        ("PlateA/s1.tif", "/acq/PlateA/s1.tif"),
        ("x/s1.tif", "/acq/s1.tif"),
        ("x/s1.tif", "/acq/s1.png"),
        ("PlateA", "/acq/PlateA/s1.tif"),
        ("x/s1.zarr", "/acq/x/s1.zarr"),
    ],
    ids=["file", "file-by-name", "file-by-stem", "folder", "zarr"],
)
def test_links_that_lead_out_are_refused(
    sources: PlateSources, root: Path, tmp_path: Path, link: str, record: str
) -> None:
    secret = _secret(tmp_path)
    target = secret / "s1.tif" if link.endswith("tif") else secret
    (root / link).parent.mkdir(exist_ok=True)
    (root / link).symlink_to(target)
    found = _resolve(sources, record)
    assert isinstance(found, UnresolvedImage)
    assert found.reason == "unsafe_path"
    for part in (link, str(target), "follow_links"):
        assert part in found.detail
    assert isinstance(_resolve(sources, record, follow=True), ResolvedImage)


def test_links_to_folders_that_may_hold_a_missing_image_are_named(
    sources: PlateSources, root: Path, tmp_path: Path
) -> None:
    (root / "x").symlink_to(_secret(tmp_path))
    found = _resolve(sources, "/acq/s1.tif")
    assert isinstance(found, UnresolvedImage)
    assert found.reason == "missing_image"
    assert f"x is a link to {tmp_path / 'secret'}" in found.detail


def test_links_inside_the_folder_are_followed(sources: PlateSources, root: Path) -> None:
    _touch(root, "store/s1.tif", "store/deep/s2.tif")
    (root / "a.tif").symlink_to(root / "store" / "s1.tif")
    (root / "PlateA").symlink_to("store/deep")
    assert _relative(_resolve(sources, "/acq/a.tif")) == "a.tif"
    assert _relative(_resolve(sources, "/acq/PlateA/s2.tif")) == "PlateA/s2.tif"


def test_link_that_the_user_names_is_followed(sources: PlateSources, tmp_path: Path) -> None:
    (tmp_path / "named").symlink_to(_secret(tmp_path))
    given = dataclasses.replace(sources, image_dir=tmp_path / "named")
    assert _relative(_resolve(given, "/acq/s1.tif")) == "s1.tif"


@pytest.mark.parametrize("link", ["s1.tif", "deep"])
def test_links_out_of_a_mapped_folder_are_refused(plate: Plate, tmp_path: Path, link: str) -> None:
    mapped = tmp_path / "mapped"
    mapped.mkdir()
    secret = _secret(tmp_path)
    (mapped / link).symlink_to(secret / "s1.tif" if link == "s1.tif" else secret)
    sources = plate.with_options(path_prefix_map={"/acq": str(mapped)})
    record = "/acq/s1.tif" if link == "s1.tif" else "/acq/deep/s1.tif"
    assert _reason(_resolve(sources, record)) == "unsafe_path"
    assert isinstance(_resolve(sources, record, follow=True), ResolvedImage)
