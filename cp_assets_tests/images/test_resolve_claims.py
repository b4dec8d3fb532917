"""One file, several records: whose it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cp_assets.datasets.model import Dataset, PlateSources
from cp_assets.images import ChannelFile, ImageSet
from cp_assets.images.resolve import ImageResolver, ResolvedImage
from cp_assets_tests.images.plates import KEY, Plate, make_set


@pytest.fixture
def sources(plate: Plate, tmp_path: Path) -> PlateSources:
    """The plate with an empty image folder."""
    (tmp_path / "other").mkdir()
    return dataclasses.replace(plate.sources, image_dir=tmp_path / "other")


def _touch(sources: PlateSources, *names: str) -> None:
    assert sources.image_dir
    for name in names:
        path = sources.image_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _file(path: str, frame: int | None = None, channel: str = "DNA") -> ChannelFile:
    folder, _, name = path.rpartition("/")
    return ChannelFile(channel, name, folder or None, frame=frame, series=0)


def _sets(*records: tuple[str, str] | tuple[str, str, int]) -> list[ImageSet]:
    return [make_set(r[0], "1", channels=(_file(r[1], *r[2:]),)) for r in records]


def _outcomes(sources: PlateSources, sets: Sequence[ImageSet]) -> list[str]:
    """Of each file, where it was found, else why not."""
    resolver = ImageResolver(sources, sets)
    found = [resolver.resolve(one, file) for one in sets for file in one.channels]
    return [one.relative if isinstance(one, ResolvedImage) else one.reason for one in found]


def test_claims_missing_image_is_not_taken_from_another_well(sources: PlateSources) -> None:
    _touch(sources, "A02/img_ch1.tif")
    sets = _sets(("A01", "/acq/A01/img_ch1.tif"), ("A02", "/acq/A02/img_ch1.tif"))
    assert _outcomes(sources, sets) == ["missing_image", "A02/img_ch1.tif"]


def test_claims_another_wells_image_is_not_taken_even_if_it_was_not_measured(
    sources: PlateSources,
) -> None:
    _touch(sources, "A02/TimePoint_1/img_ch1.tif")
    assert _outcomes(sources, _sets(("A01", "/acq/A01/TimePoint_1/img_ch1.tif"))) == [
        "missing_image"
    ]


@pytest.mark.parametrize(
    ("file", "records", "expected"),
    [
        ("site2/i.tif", ["/acq/site1/i.tif", "/acq/site2/i.tif"], ["missing_image", "site2/i.tif"]),
        ("site2/i.png", ["/acq/site1/i.tif", "/acq/site2/i.tif"], ["missing_image", "site2/i.png"]),
        ("x/i.tif", ["/acq/site1/i.tif", "/acq/site2/i.tif"], ["ambiguous_image"] * 2),
        ("i.tif", ["/acq/site1/i.tif", "/acq/site2/i.tif"], ["ambiguous_image"] * 2),
        ("t1/i.tif", ["/acq/site1/t1/i.tif", "/acq/site2/t1/i.tif"], ["ambiguous_image"] * 2),
        ("x/i.tif", ["i.tif", "i.tif"], ["ambiguous_image"] * 2),
        ("i.tif", ["i.tif", "i.tif"], ["ambiguous_image"] * 2),
        ("x/i.tif", ["/tmp/in/i.tif", "/tmp/in/i.tif"], ["ambiguous_image"] * 2),
        ("P/i.tif", ["/acq/P/i.tif", "/acq/P/i.tif"], ["P/i.tif"] * 2),
        ("x/i.png", ["/acq/i.png", "/acq/i.tif"], ["x/i.png", "missing_image"]),
        ("site1/i.png", ["/acq/site1/i.tif", "/acq/site2/i.png"], ["ambiguous_image"] * 2),
    ],
    ids=[
        "folder-says",
        "folder-says-but-for-ending",
        "folder-lost",
        "flat",
        "folder-above-lost",
        "names-alone",
        "names-alone-flat",
        "one-staging-folder",
        "one-path",
        "name-over-stem",
        "neither-fits-better",
    ],
)
def test_claims_of_two_image_sets(
    sources: PlateSources, file: str, records: list[str], expected: list[str]
) -> None:
    _touch(sources, file)
    sets = _sets(("A01", records[0]), ("B07", records[1]))
    assert _outcomes(sources, sets) == expected
    assert _outcomes(sources, sets[::-1]) == expected[::-1]


def test_claims_refusal_names_the_other_and_what_to_do(sources: PlateSources) -> None:
    _touch(sources, "x/i.tif")
    sets = _sets(("A01", "/acq/s1/i.tif"), ("B07", "/acq/s2/i.tif"))
    found = ImageResolver(sources, sets).resolve(sets[0], sets[0].channels[0])
    assert not isinstance(found, ResolvedImage)
    assert found.original == "/acq/s1/i.tif"
    for part in ("well B07, site 1, channel DNA", "x/i.tif", "/acq/s2/i.tif", "path_prefix_map"):
        assert part in found.detail


def test_claims_of_a_plate_whose_folders_changed_are_all_met(sources: PlateSources) -> None:
    wells = [f"{row}{column:02d}" for row in "ABC" for column in range(1, 5)]
    sets = [make_set(well, "1") for well in wells]
    names = [f"moved/{file.file_name}" for one in sets for file in one.channels]
    _touch(sources, *names)
    assert _outcomes(sources, sets) == names


@pytest.mark.parametrize("place", ["stack.tif", "P/stack.tif", "moved/stack.tif"])
@pytest.mark.parametrize("folder", ["/acq/P", "/scratch/job_{}/P"], ids=["one", "one-a-job"])
def test_claims_of_different_planes_share_the_file(
    sources: PlateSources, place: str, folder: str
) -> None:
    _touch(sources, place)
    sets = [
        make_set(
            f"A0{number}",
            "1",
            channels=tuple(
                _file(f"{folder.format(number)}/stack.tif", 2 * number + plane, channel)
                for plane, channel in enumerate(("DNA", "ER"))
            ),
        )
        for number in (1, 2, 3)
    ]
    assert _outcomes(sources, sets) == [place] * 6


def test_claims_of_one_plane_by_two_wells_refuse_the_whole_stack(sources: PlateSources) -> None:
    _touch(sources, "moved/stack.tif")
    sets = _sets(
        ("A01", "/acq/r1/stack.tif", 0),
        ("A02", "/acq/r1/stack.tif", 1),
        ("B01", "/acq/r2/stack.tif", 0),
    )
    assert _outcomes(sources, sets) == ["ambiguous_image"] * 3


def test_claims_of_channels_of_one_image_set(sources: PlateSources) -> None:
    _touch(sources, "moved/rgb.tif", "moved/a.tif")
    same = make_set("A01", "1", channels=tuple(_file("/q/rgb.tif", 0, c) for c in ("R", "G")))
    other = make_set("A02", "1", channels=(_file("/q/a.tif", 0, "DNA"), _file("/q/a.png", 0, "ER")))
    assert _outcomes(sources, [same]) == ["moved/rgb.tif"] * 2
    assert _outcomes(sources, [other]) == ["moved/a.tif", "missing_image"]


def test_claims_by_prefix_map_go_before_names(plate: Plate, tmp_path: Path) -> None:
    folder = tmp_path / "images" / "x"
    folder.mkdir()
    (folder / "i.tif").touch()
    sources = plate.with_options(path_prefix_map={"/right": str(folder)})
    sets = _sets(("A01", "/right/i.tif"), ("A02", "/wrong/i.tif"), ("A03", "/right/i.tif"))
    assert _outcomes(sources, sets) == ["i.tif", "missing_image", "i.tif"]


def test_claims_of_load_data_count(sources: PlateSources, tmp_path: Path) -> None:
    path = tmp_path / "load_data.csv"
    path.write_text(
        "FileName_DNA,PathName_DNA,Metadata_Plate,Metadata_Well,Metadata_Site\n"
        "i.tif,/acq/s1,PlateA,A01,1\ni.tif,/acq/s2,PlateA,B07,1\n"
    )
    _touch(sources, "s2/i.tif")
    sources = dataclasses.replace(sources, load_data=(path,))
    sets = _sets(("A01", "i.tif"), ("B07", "i.tif"))
    assert _outcomes(sources, sets) == ["missing_image", "s2/i.tif"]


def test_claims_of_sets_that_were_not_given_are_looked_up(sources: PlateSources) -> None:
    _touch(sources, "x/i.tif")
    (one,) = _sets(("A01", "/acq/i.tif"))
    assert isinstance(ImageResolver(sources).resolve(one, one.channels[0]), ResolvedImage)


FOLDERS = st.sampled_from(["", "A01", "A02", "x", "x/A01", "y/t1", "t1"])
NAMES = st.sampled_from(["i.tif", "i.png", "j.tif"])
PATHS = st.builds(lambda folder, name: f"{folder}/{name}".lstrip("/"), FOLDERS, NAMES)


@settings(max_examples=60, deadline=None)
@given(files=st.sets(PATHS), records=st.lists(st.tuples(PATHS, st.integers(0, 1)), max_size=6))
def test_claims_never_give_one_plane_to_two_paths(
    files: set[str], records: list[tuple[str, int]]
) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder) / "acq"
        root.mkdir()
        dataset = Dataset(dataset_id="d", root=root, layout="cellprofiler")
        sources = PlateSources(dataset, KEY, (), image_dir=root)
        _touch(sources, *files)
        sets = [
            make_set(f"B{number:02d}", "1", channels=(_file(f"/acq/{path}", frame),))
            for number, (path, frame) in enumerate(records, start=1)
        ]
        found = _outcomes(sources, sets)
        assert _outcomes(sources, sets[::-1]) == found[::-1]
    owners: dict[tuple[str, int], set[str]] = {}
    for outcome, (path, frame) in zip(found, records, strict=True):
        owners.setdefault((outcome, frame), set()).add(path)
        # A record whose file is where it says has that file.
        assert outcome == path or path not in files
    assert all(len(paths) == 1 for (file, _), paths in owners.items() if "." in file)
