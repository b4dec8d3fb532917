"""Finding plates in an object store: by as many requests as there are names to list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cp_assets.datasets import (
    Dataset,
    ImageOptions,
    PlateKey,
    PlateSources,
    dataset_from_folder,
    detect_layout,
    find_plate,
    find_plates,
    list_plates,
)
from cp_assets.datasets.config import read_configuration
from cp_assets.datasets.deepprofiler_files import find_deepprofiler_files
from cp_assets.datasets.fingerprints import (
    image_fingerprint,
    measurement_fingerprint,
    tree_state,
)
from cp_assets.datasets.metadata_files import find_annotation
from cp_assets.datasets.walking import walk, walk_each
from cp_assets.errors import ConfigurationError, PlateNotFoundError, StoreError
from cp_assets.sample import SampleTruth
from cp_assets.stores import ObjectPath, StoreOptions
from cp_assets_tests.services.buckets import Bucket
from cp_assets_tests.services.faulty import FaultyS3

LISTING = "ListObjectsV2"
ABSENT = "HeadObject"
"""Asked of a folder in which nothing was listed: whether it is a file."""


def site_folder(root: Path, batch: str, plate: str, site: int = 1) -> Path:
    """A measurement folder with an empty Image table, which is enough to find it."""
    name = f"{plate}-A01-{site}"
    folder = root / "workspace" / "analysis" / batch / plate / "analysis" / name
    folder.mkdir(parents=True)
    (folder / "Image.csv").touch()
    return folder


def write_batches(root: Path, batches: int, plates: int, sites: int) -> list[str]:
    """Batches of plates; gives their keys."""
    keys = []
    for batch in range(batches):
        for plate in range(plates):
            for site in range(sites):
                site_folder(root, f"B{batch:02d}", f"P{batch:02d}{plate:04d}", site)
            keys.append(f"d/B{batch:02d}/P{batch:02d}{plate:04d}")
    return keys


@pytest.mark.parametrize("sites", [1, 7])
def test_plates_are_listed_without_a_look_into_them(
    tmp_path: Path, bucket: Bucket, faulty: FaultyS3, sites: int
) -> None:
    keys = write_batches(tmp_path, batches=3, plates=5, sites=sites)
    root = bucket.put(tmp_path)
    faulty.forget()
    assert [str(key) for key in list_plates(Dataset(dataset_id="d", root=root))] == keys
    # workspace/analysis, workspace/backend, which is not there, and each batch.
    assert faulty.counts() == {LISTING: 2 + 3, ABSENT: 1}


@pytest.mark.slow
def test_ten_thousand_plates_take_a_request_for_a_thousand_names(
    tmp_path: Path, bucket: Bucket, faulty: FaultyS3
) -> None:
    root = bucket.put(tmp_path)
    # Where the server has them: to copy as many folders takes as long again.
    keys = write_batches(bucket.on_disk(root), batches=8, plates=1250, sites=1)
    faulty.forget()
    found = list_plates(Dataset(dataset_id="d", root=root))
    assert [str(key) for key in found] == keys
    assert len(found) == 10_000
    assert faulty.counts() == {LISTING: 2 + 8 * 2, ABSENT: 1}
    faulty.forget()
    sources = find_plate(Dataset(dataset_id="d", root=root), found[5000])
    assert len(sources.siblings) == 1249
    # Both folders of the batch, of which one has two pages; the plate, its site, LoadData, images.
    assert faulty.counts() == {LISTING: 3 + 3 + 3, ABSENT: 3}


def test_both_folders_of_the_workspace_are_listed(tmp_path: Path, bucket: Bucket) -> None:
    site_folder(tmp_path, "B1", "P1")
    for plate in ("P1", "P2"):
        folder = tmp_path / "workspace" / "backend" / "B1" / plate
        folder.mkdir(parents=True)
        (folder / f"{plate}.sqlite").touch()
    dataset = Dataset(dataset_id="d", root=bucket.put(tmp_path))
    assert [key.plate_id for key in list_plates(dataset)] == ["P1", "P2"]
    for measurements, plates in (("analysis", ["P1"]), ("backend", ["P1", "P2"])):
        chosen = replace(dataset, measurements=measurements)  # type: ignore[arg-type]
        assert [key.plate_id for key in list_plates(chosen)] == plates


@pytest.mark.parametrize(("sites", "pages"), [(3, 3), (120, 1)])
def test_a_plate_takes_few_requests_however_many_sites(
    tmp_path: Path, bucket: Bucket, faulty: FaultyS3, sites: int, pages: int
) -> None:
    for site in range(sites):
        folder = site_folder(tmp_path, "B1", "P1", site)
        (folder / "outlines").mkdir()
        (folder / "outlines" / f"{site}.png").touch()
    dataset = Dataset(dataset_id="d", root=bucket.put(tmp_path))
    key = PlateKey("d", "B1", "P1")
    faulty.forget()
    sources = find_plate(dataset, key)
    assert len(sources.folders) == sites
    assert all(folder.fault is None for folder in sources.folders)
    # Two of the batch; whether there is an analysis, its folders; those of each or all at once;
    # images (twice) and LoadData.
    assert faulty.counts() == {LISTING: 2 + 2 + pages + 3, ABSENT: 3}
    faulty.forget()
    measurement_fingerprint(sources)
    assert faulty.counts() == {}
    image_fingerprint(sources)
    assert faulty.counts() == {LISTING: 1 if sites > 16 else 2 * sites}


def test_listing_of_all_sites_ends_where_much_more_lies_beside_them(
    tmp_path: Path, bucket: Bucket, faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for site in range(20):
        beside = site_folder(tmp_path, "B1", "P1", site) / "outlines"
        beside.mkdir()
        (beside / "cells.png").touch()
    dataset = Dataset(dataset_id="d", root=bucket.put(tmp_path))
    monkeypatch.setattr("cp_assets.datasets.listing.NAMES_A_REQUEST", 1)
    faulty.forget()
    (sources,) = find_plates(dataset).values()
    assert len(sources.folders) == 20
    assert faulty.count(LISTING) > 20


def test_what_a_disk_says_of_a_plate_a_store_says(
    small_sample: SampleTruth, bucket: Bucket
) -> None:
    root = bucket.put(small_sample.root)

    def told(sources: PlateSources) -> object:
        base = sources.dataset.root
        below = len(base.parts)
        places = (sources.image_dir, *sources.load_data)
        annotation = find_annotation(sources)
        return (
            [None if place is None else place.parts[below:] for place in places],
            [(one.relative, one.well, one.site, list(one.tables)) for one in sources.folders],
            sources.choice,
            [file.name for file in annotation.files],
            [path.parts[below:] for path in annotation.of_dataset],
            annotation.faults,
        )

    there = find_plates(Dataset(dataset_id="s", root=small_sample.root))
    for key, sources in there.items():
        assert told(find_plate(Dataset(dataset_id="s", root=root), key)) == told(sources)


IMAGE_FOLDERS = [
    (["P1__2021-Measurement1", "P10__2021-Measurement1"], "P1__2021-Measurement1"),
    (["P1", "P1-2__2021-Measurement1"], "P1"),
    # Part of a longer name only where none is the plate's by the rule.
    (["P1-2__2021-Measurement1", "P1__2021-Measurement1"], "P1__2021-Measurement1"),
    (["P1-2021", "P10-2021"], "P1-2021"),
    (["P1__a", "P1__b"], None),
    (["P2__a"], None),
]


@pytest.mark.parametrize(("folders", "chosen"), IMAGE_FOLDERS)
@pytest.mark.parametrize("kind", ["disk", "store"])
def test_image_folder_by_the_full_plate_name(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    folders: list[str],
    chosen: str | None,
    kind: str,
) -> None:
    site_folder(tmp_path, "B1", "P1")
    for name in folders:
        (tmp_path / "images" / "B1" / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / "B1" / "images" / name / "a.tiff").touch()
    root = tmp_path if kind == "disk" else request.getfixturevalue("bucket").put(tmp_path)
    (sources,) = find_plates(Dataset(dataset_id="d", root=root)).values()
    batch = root / "images" / "B1" / "images"
    assert sources.image_dir == (batch if chosen is None else batch / chosen)


def test_plate_that_is_not_there_says_what_is(tmp_path: Path, bucket: Bucket) -> None:
    site_folder(tmp_path, "B1", "P1")
    empty = tmp_path / "workspace" / "analysis" / "B1" / "P2" / "notes.txt"
    empty.parent.mkdir()
    empty.touch()
    dataset = Dataset(dataset_id="d", root=bucket.put(tmp_path))
    with pytest.raises(PlateNotFoundError, match="no plate d/B1/P3; it has 2, such as d/B1/P1"):
        find_plate(dataset, PlateKey("d", "B1", "P3"))
    with pytest.raises(PlateNotFoundError, match="nothing measured lies in the folder of plate"):
        find_plate(dataset, PlateKey("d", "B1", "P2"))
    assert list(find_plates(dataset)) == [PlateKey("d", "B1", "P1")]
    nowhere = replace(dataset, root=dataset.root / "absent")
    with pytest.raises(PlateNotFoundError, match="absent is neither a folder nor a file"):
        find_plates(nowhere)


def test_bucket_that_is_not_there_is_no_empty_dataset(bucket: Bucket) -> None:
    root = ObjectPath("s3://no-such-bucket-of-a-test", "a", bucket.options())
    with pytest.raises(StoreError):
        list_plates(Dataset(dataset_id="d", root=root))
    with pytest.raises(StoreError):
        dataset_from_folder(root)


def test_a_whole_bucket_is_not_searched_for_files_of_deepprofiler(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (tmp_path / f"A0{number + 1}_1.npz").touch()
    root = bucket.put(tmp_path)
    assert len(find_deepprofiler_files(root, most=5)) == 5
    with pytest.raises(ConfigurationError, match=r"more than 4 files .* or the preset"):
        find_deepprofiler_files(root, most=4)
    monkeypatch.setattr("cp_assets.datasets.measurement_folders._MOST_FILES", 4)
    with pytest.raises(ConfigurationError, match="more than 4 files"):
        find_plates(Dataset(dataset_id="d", root=root, layout="cellprofiler"))


FILES = ["b/c.txt", "b-a/c.txt", "a.zarr/0/1", "a.zarr/.zattrs", "b/d.zarr/0", "b/d/e", "z"]


def is_zarr(name: str) -> bool:
    return name.endswith(".zarr")


@pytest.mark.parametrize("more", [0, 12])
@pytest.mark.parametrize("leaves", [False, True])
def test_walk_gives_what_it_gives_on_a_disk(
    tmp_path: Path, bucket: Bucket, leaves: bool, more: int
) -> None:
    for name in (*FILES, *(f"s{at}/x.zarr/0" for at in range(more))):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    is_leaf = is_zarr if leaves else None
    for below in ("", "b"):
        truth = list(walk(tmp_path / below, is_leaf=is_leaf))
        root = bucket.put(tmp_path) / below
        found = list(walk(root, is_leaf=is_leaf))
        assert [replace(entry, found=None) for entry in found] == truth
        assert all((entry.found is None) == entry.is_folder for entry in found)
    assert list(walk(root / "absent")) == []


def test_walk_of_many_folders_without_leaves_beside_them(
    tmp_path: Path, bucket: Bucket, faulty: FaultyS3
) -> None:
    for at in range(30):
        folder = tmp_path / f"site{at}" / "image.zarr" / "0"
        folder.mkdir(parents=True)
        (folder / "0").touch()
        (folder / "1").touch()
    root = bucket.put(tmp_path)
    faulty.forget()
    assert [replace(one, found=None) for one in walk(root, is_leaf=is_zarr)] == list(
        walk(tmp_path, is_leaf=is_zarr)
    )
    assert faulty.counts() == {LISTING: 2}


@pytest.mark.parametrize("sites", [4, 20])
def test_walk_each_folder(tmp_path: Path, bucket: Bucket, faulty: FaultyS3, sites: int) -> None:
    for at in range(0, sites, 2):
        folder = tmp_path / f"site{at}" / "masks" / "more"
        folder.mkdir(parents=True)
        (folder / "a.png").touch()
        (folder.parent / "b.png").touch()
    (tmp_path / "site0" / "masks-old").mkdir()
    (tmp_path / "site0" / "masks-old" / "c.png").touch()
    names = [f"site{at}/masks" for at in range(sites)]
    truth = [*walk_each([tmp_path / name for name in names])]
    assert [len(some) for some in truth] == [2, 0] * (sites // 2)
    root = bucket.put(tmp_path)
    faulty.forget()
    found = [*walk_each([root / name for name in names])]
    assert [[replace(one, found=None) for one in some] for some in found] == truth
    assert faulty.counts() == {LISTING: 1 if sites > 16 else sites}


def test_fingerprints_follow_the_content(small_sample: SampleTruth, bucket: Bucket) -> None:
    root = bucket.put(small_sample.root)
    dataset = Dataset(dataset_id="s", root=root)
    first, second = list_plates(dataset)

    def fingerprints() -> list[str]:
        return [
            fingerprint(find_plate(dataset, key))
            for key in (first, second)
            for fingerprint in (measurement_fingerprint, image_fingerprint)
        ]

    before = fingerprints()
    assert fingerprints() == before
    folder = find_plate(dataset, second).folders[0]
    table = folder.tables["Cells"].path
    assert isinstance(table, ObjectPath)
    # As long as before: its ETag tells.
    table.write_bytes(table.read_bytes()[:-2] + b"0\n")
    after = fingerprints()
    assert [one == other for one, other in zip(before, after, strict=True)] == [
        *(True, True),
        *(False, True),
    ]
    (folder.path / "outlines" / "new.png").write_bytes(b"x")
    assert [one == other for one, other in zip(after, fingerprints(), strict=True)] == [
        *(True, True),
        *(True, False),
    ]


def test_tree_state_is_one_listing(tmp_path: Path, bucket: Bucket, faulty: FaultyS3) -> None:
    for at in range(40):
        (tmp_path / f"folder{at}").mkdir()
        (tmp_path / f"folder{at}" / "a").write_text(str(at))
    root = bucket.put(tmp_path)
    faulty.forget()
    states = tree_state(root, follow_links=False)
    assert faulty.counts() == {LISTING: 1}
    assert [state[:2] for state in states] == [
        state[:2] for state in tree_state(tmp_path, follow_links=False)
    ]
    assert tree_state(root / "absent", follow_links=False) == []


def test_layout_of_a_url(small_sample: SampleTruth, bucket: Bucket) -> None:
    root = bucket.put(small_sample.root)
    assert detect_layout(root) == "cell-painting-gallery"
    dataset = dataset_from_folder(root)
    assert (dataset.dataset_id, dataset.layout, dataset.file) == (
        root.name,
        "cell-painting-gallery",
        None,
    )
    site = find_plates(dataset)[list_plates(dataset)[0]].folders[0].path
    assert dataset_from_folder(site).layout == "cellprofiler"


def configured(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "cp_assets.yaml"
    file.write_text(text)
    return file


STORES = """
stores:
  s3://folders: {endpoint_url: "%s", path_style: true, attempts: 2}
  s3://folders/other: {anonymous: true}
"""


def test_datasets_of_a_pattern(tmp_path: Path, bucket: Bucket, faulty: FaultyS3) -> None:
    for project, source in (("cpg1", "source_1"), ("cpg1", "source_2"), ("cpg2", "broad")):
        site_folder(tmp_path / "gallery" / project / source, "B1", "P1")
    (tmp_path / "gallery" / "cpg1" / "README.md").touch()
    root = bucket.put(tmp_path / "gallery")
    file = configured(
        tmp_path,
        STORES % faulty.endpoint
        + f"""
datasets:
  - root: {root}/*/*
    images:
      path_prefix_map: {{"/home/{{project}}/{{source}}": "{root}/{{project}}/{{source}}"}}
""",
    )
    faulty.forget()
    configuration = read_configuration(file)
    assert faulty.counts() == {}
    names = [dataset.dataset_id for dataset in configuration.datasets]
    assert names == ["cpg1-source_1", "cpg1-source_2", "cpg2-broad"]
    # The projects, and the sources of each.
    assert faulty.counts() == {LISTING: 1 + 2}
    second = configuration.datasets[1]
    assert second.root == root / "cpg1" / "source_2"
    assert second.root.options == bucket.options(attempts=2)  # type: ignore[union-attr]
    assert second.images.path_prefix_map == {"/home/cpg1/source_2": second.root}
    assert [str(key) for one in configuration.datasets for key in list_plates(one)] == [
        f"{name}/B1/P1" for name in names
    ]
    key = PlateKey("cpg2-broad", "B1", "P1")
    assert read_configuration(file).dataset_of(key).root == root / "cpg2" / "broad"
    with pytest.raises(PlateNotFoundError, match="it has: cpg1-source_1, cpg1-source_2, cpg2-bro"):
        read_configuration(file).dataset_of(PlateKey("cpg3-broad", "B1", "P1"))


def test_pattern_of_local_folders(tmp_path: Path) -> None:
    for source in ("source_1", "source_2", ".hidden", "other"):
        site_folder(tmp_path / "cpg1" / source, "B1", "P1")
    text = "datasets: [{dataset_id: '{source}_of_{project}', root: cpg1/source_*}]"
    configuration = read_configuration(configured(tmp_path, text))
    assert [dataset.dataset_id for dataset in configuration.datasets] == [
        "source_1_of_cpg1",
        "source_2_of_cpg1",
    ]
    key = PlateKey("source_2_of_cpg1", "B1", "P1")
    assert configuration.dataset_of(key).root == tmp_path / "cpg1" / "source_2"


def test_one_dataset_is_looked_up_without_the_others(
    tmp_path: Path, bucket: Bucket, faulty: FaultyS3
) -> None:
    site_folder(tmp_path / "a", "B1", "P1")
    root = bucket.put(tmp_path)
    text = f"datasets: [{{dataset_id: a, root: {root}/a}}, {{dataset_id: b, root: {root}/b}}]"
    configuration = read_configuration(configured(tmp_path, STORES % faulty.endpoint + text))
    faulty.forget()
    dataset = configuration.dataset_of(PlateKey("a", "B1", "P1"))
    assert (dataset.root, dataset.layout) == (root / "a", "cell-painting-gallery")
    assert faulty.counts() == {LISTING: 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets: [{root: s3://b/x}]", "s3://b/x has no dataset_id"),
        ("datasets: [{root: s3://b*/x}]", "expected the name of one bucket"),
        ("datasets: [{dataset_id: a, root: ftp://b/x}]", "expected a folder, or a URL"),
        ("datasets: [{dataset_id: a, root: s3://b/x}, {dataset_id: a, root: r}]", "is given twice"),
        ("stores: {ftp://x: {}}", "ftp://x is no URL that begins with s3://"),
        ("stores: {s3://x: {endpoint: y}}", "stores.s3://x.endpoint: .* mean endpoint_url"),
        ("stores: {s3://x: {attempts: 0}}", "expected 1 or more attempts"),
        ("stores: {s3://x: {endpoint_url: 'lab:9000'}}", r"lab:9000.*begins with https://"),
        (
            "datasets: [{dataset_id: a, root: s3://b/x, images: {padding: 1, crop_size: 2}}]",
            "not both given",
        ),
    ],
)
def test_fault_of_a_configuration_is_told_before_a_store_is_asked(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_configuration(configured(tmp_path, text))


def test_two_patterns_that_find_one_id_are_refused(tmp_path: Path) -> None:
    for name in ("a/x", "b/x"):
        site_folder(tmp_path / name, "B1", "P1")
    text = "datasets: [{root: a/*, dataset_id: '{source}'}, {root: b/*, dataset_id: '{source}'}]"
    configuration = read_configuration(configured(tmp_path, text))
    with pytest.raises(ConfigurationError, match="'x' is given twice"):
        _ = configuration.datasets
    with pytest.raises(ConfigurationError, match="'x' is given twice"):
        configuration.dataset_of(PlateKey("x", "B1", "P1"))


def test_places_of_a_configuration_may_be_urls(tmp_path: Path) -> None:
    text = """
warehouse: s3://bucket/warehouse
stores: {"s3://b": {region: eu-west-1}, "s3://b/public": {anonymous: true}}
datasets:
  - dataset_id: a
    root: local
    layout: cellprofiler
    image_dir: s3://b/public/images
    mask_dir: s3://b/masks
    annotations: [s3://b/a.csv, here.csv]
    images: {path_prefix_map: {/old: s3://b/public, /other: /there}}
"""
    configuration = read_configuration(configured(tmp_path, text))
    assert configuration.warehouse == "s3://bucket/warehouse"
    (dataset,) = configuration.datasets
    public, plain = StoreOptions(anonymous=True), StoreOptions(region="eu-west-1")
    assert dataset.image_dir == ObjectPath.parse("s3://b/public/images")
    assert dataset.image_dir.options == public  # type: ignore[union-attr]
    assert dataset.mask_dir.options == plain  # type: ignore[union-attr]
    assert list(map(str, dataset.annotations)) == ["s3://b/a.csv", str(tmp_path / "here.csv")]
    assert dataset.images == ImageOptions(
        path_prefix_map={"/old": ObjectPath.parse("s3://b/public"), "/other": "/there"}
    )
