from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cp_assets.datasets.model import PlateSources
from cp_assets.errors import ConfigurationError, MeasurementError
from cp_assets.images import ChannelFile, recorded
from cp_assets.images.resolve import ImageResolver, ResolvedImage, UnresolvedImage
from cp_assets_tests.images.plates import Plate, make_set

Found = ResolvedImage | UnresolvedImage


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def _resolve(sources: PlateSources, file_name: str, **record: Any) -> Found:
    file = ChannelFile("DNA", file_name, **record)
    return ImageResolver(sources).resolve(make_set("A01", "1", channels=(file,)), file)


@pytest.fixture
def sources(plate: Plate, tmp_path: Path) -> PlateSources:
    """The plate with an empty image folder."""
    (tmp_path / "other").mkdir()
    return dataclasses.replace(plate.sources, image_dir=tmp_path / "other")


def _relative(found: Found) -> str:
    assert isinstance(found, ResolvedImage), found
    return found.relative


@pytest.mark.parametrize(
    ("files", "recorded_path", "expected"),
    [
        (["P/Images/a.tif", "Q/Images/a.tif"], "/home/x/P/Images", "P/Images/a.tif"),
        (["a.tif", "deep/a.tif"], "/home", "a.tif"),
        (["deep/er/a.tif"], "/home", "deep/er/a.tif"),
        (["deep/a.png"], "/home", "deep/a.png"),
        (["deep/a.ome.tiff"], "/home", "deep/a.ome.tiff"),
        (["other/a.tif", "PlateA/a.tif"], "/home", "PlateA/a.tif"),
        (
            ["PlateA2/a.tif", "PlateA__2021-05-02/Images/a.tif"],
            "/home",
            "PlateA__2021-05-02/Images/a.tif",
        ),
        (["Images/a.tif"], r"C:\data\PlateA\Images", "Images/a.tif"),
    ],
    ids=["tail", "root", "name", "stem", "ome-stem", "plate", "plate-with-date", "windows"],
)
def test_resolve_searches_the_image_folder(
    sources: PlateSources, files: list[str], recorded_path: str, expected: str
) -> None:
    assert sources.image_dir
    _touch(sources.image_dir, *files)
    assert _relative(_resolve(sources, "a.tif", path_name=recorded_path)) == expected


def test_resolve_keeps_what_was_recorded(sources: PlateSources) -> None:
    assert sources.image_dir
    _touch(sources.image_dir, "x y.tif")
    found = _resolve(sources, "x y.tif", path_name="/p", url="file:/p/x%20y.tif")
    assert isinstance(found, ResolvedImage)
    assert (found.original, found.relative) == ("file:/p/x%20y.tif", "x y.tif")
    assert found.path == sources.image_dir / "x y.tif"


@pytest.mark.parametrize(
    "record",
    [
        {"path_name": "/old/plates/one"},
        {"url": "file:/old/plates/one/a%231.tif"},
        {"url": "file:///old/plates/one/a%231.tif"},
        {"url": "s3://bucket/plates/one/a#1.tif"},
    ],
    ids=["path", "file-url", "file-url-3", "s3"],
)
def test_resolve_maps_prefixes_longest_first(
    plate: Plate, tmp_path: Path, record: dict[str, str]
) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    _touch(right, "one/a#1.tif")
    _touch(wrong, "plates/one/a#1.tif", "one/a#1.tif")
    prefixes = {"/old": wrong, "/old/plates/": right, "/ol": wrong, "s3://bucket/plates": right}
    sources = plate.with_options(path_prefix_map={k: str(v) for k, v in prefixes.items()})
    found = _resolve(sources, "a#1.tif", **record)
    assert isinstance(found, ResolvedImage)
    assert found.path == right / "one" / "a#1.tif"
    assert found.relative == "one/a#1.tif"


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("../secret.tif", {}),
        ("/etc/secret.tif", {}),
        (r"C:\secret.tif", {}),
        ("s3://bucket/secret.tif", {}),
        ("a.tif", {"path_name": "/old/../../etc"}),
        ("a.tif", {"url": "file:/old/%2e%2e/a.tif"}),
        ("a\x00.tif", {}),
    ],
)
def test_resolve_of_an_unsafe_name_is_rejected(
    plate: Plate, tmp_path: Path, name: str, record: dict[str, str]
) -> None:
    _touch(tmp_path, "secret.tif", "a.tif")
    sources = plate.with_options(path_prefix_map={"/old": str(tmp_path / "images")})
    found = _resolve(sources, name, **record)
    assert isinstance(found, UnresolvedImage)
    assert found.reason == "unsafe_path"


def test_resolve_never_lets_slashes_drop_the_mapped_prefix(plate: Plate, tmp_path: Path) -> None:
    _touch(tmp_path, "secret.tif")
    sources = plate.with_options(path_prefix_map={"/old": str(tmp_path / "images")})
    found = _resolve(sources, "secret.tif", path_name=f"/old/{tmp_path}")
    assert isinstance(found, UnresolvedImage)
    assert found.reason == "missing_image"


def test_resolve_of_several_candidates_names_them(sources: PlateSources) -> None:
    assert sources.image_dir
    _touch(sources.image_dir, "one/a.tif", "two/a.tif")
    found = _resolve(sources, "a.tif")
    assert isinstance(found, UnresolvedImage)
    assert found.reason == "ambiguous_image"
    assert "one/a.tif, two/a.tif" in found.detail


@pytest.mark.parametrize("name", ["a.tif", "x" * 300 + ".tif"])
def test_resolve_of_nothing_says_what_was_tried(plate: Plate, name: str) -> None:
    sources = plate.with_options(path_prefix_map={"/old": "/nowhere"})
    found = _resolve(sources, name, path_name="/old/p")
    assert isinstance(found, UnresolvedImage)
    assert found.reason == "missing_image"
    assert f"/old/p/{name}" in found.detail
    assert str(sources.image_dir) in found.detail


def test_resolve_survives_a_loop_of_links(sources: PlateSources) -> None:
    assert sources.image_dir
    _touch(sources.image_dir, "deep/a.tif")
    (sources.image_dir / "deep" / "up").symlink_to("..")
    assert _relative(_resolve(sources, "a.tif")) == "deep/a.tif"


def test_resolve_without_an_image_folder_raises(plate: Plate, tmp_path: Path) -> None:
    sources = dataclasses.replace(plate.sources, image_dir=tmp_path / "gone")
    with pytest.raises(ConfigurationError, match=r"gone: cannot be listed .* image_dir"):
        ImageResolver(sources)


LOAD_DATA = (
    "FileName_DNA,PathName_DNA,Metadata_Plate,Metadata_Well,Metadata_Site\n"
    "right.tif,/new,{plate},a1,01\n"
    "wrong.tif,/new,{plate},A01,2\n"
)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("name", ["PlateA", "1053597806"])
def test_resolve_trusts_load_data_first(
    plate: Plate, tmp_path: Path, ending: str, name: str
) -> None:
    _touch(tmp_path / "new", "right.tif", "wrong.tif")
    path = tmp_path / f"load_data{ending}"
    text = LOAD_DATA.format(plate=name)
    if ending == ".csv":
        path.write_text(text, encoding="utf-8-sig")
    elif ending == ".csv.gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        rows = [
            dict(zip(text.split("\n")[0].split(","), line.split(","), strict=True))
            for line in text.split()[1:]
        ]
        pq.write_table(pa.Table.from_pylist(rows), path)
    sources = plate.with_options(path_prefix_map={"/new": str(tmp_path / "new")})
    sources = dataclasses.replace(sources, load_data=(path,))
    file = plate.sets[0].channels[0]
    found = ImageResolver(sources).resolve(plate.sets[0], file)
    assert isinstance(found, ResolvedImage)
    assert found.path.name == "right.tif"
    assert found.original == file.recorded


def test_resolve_of_differing_load_data_rows_falls_back(plate: Plate, tmp_path: Path) -> None:
    path = tmp_path / "load_data.csv"
    path.write_text(LOAD_DATA.format(plate="PlateA").replace(",2\n", ",1\n"))
    sources = dataclasses.replace(plate.sources, load_data=(path,))
    found = ImageResolver(sources).resolve(plate.sets[0], plate.sets[0].channels[0])
    assert _relative(found) == "PlateA/A01_s1_DNA.tif"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"URL_DNA\nx\n", "no column Metadata_Well, only URL_DNA"),
        ("a.parquet", b"no", "cannot be read"),
        ("a.csv.gz", b"no", "cannot be read"),
        ("a.csv", b"\xff\xfe", "cannot be read"),
    ],
)
def test_resolve_with_bad_load_data_raises(
    plate: Plate, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MeasurementError, match=message):
        ImageResolver(dataclasses.replace(plate.sources, load_data=(tmp_path / name,)))


PARTS = st.lists(st.text("abZ9 .%+~#é-_", min_size=1, max_size=6), min_size=1, max_size=5)


@given(parts=PARTS)
def test_normalise_is_idempotent_and_keeps_names(parts: list[str]) -> None:
    text = "/" + "/".join(parts)
    assert recorded.normalise(text) == text
    assert recorded.normalise(f"file:{text}") == text
    assert recorded.base_name(text) == parts[-1]


@given(parts=PARTS)
def test_tails_end_the_path_and_shrink(parts: list[str]) -> None:
    text = "/" + "/".join(parts)
    found = list(recorded.tails(text))
    kept = [part for part in parts if part != "."]
    assert found == ["/".join(kept[i:]) for i in range(len(kept))]


@given(parts=PARTS, at=st.integers(0, 5))
def test_danger_finds_every_way_up(parts: list[str], at: int) -> None:
    path = "/".join([*parts[:at], "..", *parts[at:]])
    assert recorded.danger(ChannelFile("DNA", "a.tif", path))
    assert recorded.danger(ChannelFile("DNA", path.replace("/", "\\") + "\\a.tif"))
