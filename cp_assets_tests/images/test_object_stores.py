"""Image sets in an object store: the same crops as from a disk, for few requests."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tifffile

from cp_assets.datasets.model import MeasurementFolder, PlateSources
from cp_assets.errors import (
    ConfigurationError,
    InputChangedError,
    StoreError,
    StoreUnavailableError,
)
from cp_assets.images import CropBooks, image_crops, source_images
from cp_assets.images.mapped_files import mapped_fingerprint
from cp_assets.rejections import RejectionLog
from cp_assets.stores import ObjectPath
from cp_assets_tests.images.plates import (
    GOOD,
    SHAPE,
    Cropped,
    Human,
    Plate,
    build_plate,
    crop,
    profile_rows,
)
from cp_assets_tests.services.buckets import Bucket
from cp_assets_tests.services.faults import Fault
from cp_assets_tests.services.faulty import FaultyS3

PLACES = [(f"A0{number}", "1") for number in range(1, 6)]


@pytest.fixture
def plate(tmp_path: Path) -> Plate:
    """Five sites of two channels, with a mask each, and one image that is damaged."""
    plate = build_plate(tmp_path, PLACES)
    (tmp_path / "masks").mkdir()
    for image_set in plate.sets:
        for file in image_set.channels:
            mask = (plate.images[file.file_name] > 2000).astype(np.uint8)
            tifffile.imwrite(tmp_path / "masks" / file.file_name, mask)
    damaged = tmp_path / "images" / "PlateA" / "A03_s1_ER.tif"
    damaged.write_bytes(damaged.read_bytes()[:300])
    plate.sources = dataclasses.replace(plate.sources, mask_dir=tmp_path / "masks")
    return plate


def placed(plate: Plate, root: ObjectPath) -> Plate:
    """The plate as it lies in a store."""
    dataset = dataclasses.replace(plate.sources.dataset, root=root)
    sources = dataclasses.replace(
        plate.sources, dataset=dataset, image_dir=root / "images", mask_dir=root / "masks"
    )
    return dataclasses.replace(plate, sources=sources)


def cut(plate: Plate, **options: Any) -> Cropped:
    """Crops of two objects of each image set."""
    profiles = [profile_rows(image_set, [GOOD, (20, 20, 30, 31)]) for image_set in plate.sets]
    return crop(profiles, plate.sets, plate.with_options(**options))


def assert_same(got: Cropped, wanted: Cropped, root: ObjectPath, folder: Path) -> None:
    """The same rows, and the same books but for where the files lie."""
    assert got.table.equals(wanted.table)
    assert got.books == wanted.books
    said = [str(entry).replace(str(root), str(folder)) for entry in got.log]
    assert said == [str(entry) for entry in wanted.log]


def test_crops_and_books_are_those_from_disk(
    plate: Plate, bucket: Bucket, faulty: FaultyS3
) -> None:
    wanted = cut(plate)
    assert wanted.reasons == {"unreadable_image": 2}
    root = bucket.put(plate.root)
    faulty.forget()
    assert_same(cut(placed(plate, root), workers=2), wanted, root, plate.root)
    # Each file once, and each folder: what was listed is not asked for.
    assert faulty.counts() == {"GetObject": 20, "ListObjectsV2": 2 + 1}


def test_crops_of_example_human_are_those_from_disk(human: Human, bucket: Bucket) -> None:
    wanted = crop([human.profiles], human.sets, human.sources)
    root = bucket.put(human.folder)
    sources = dataclasses.replace(human.sources, image_dir=root)
    assert crop([human.profiles], human.sets, sources).table.equals(wanted.table)


def test_source_images_are_those_from_disk(plate: Plate, bucket: Bucket) -> None:
    def whole(sources: PlateSources) -> pa.Table:
        return pa.Table.from_batches(source_images(plate.sets, sources, RejectionLog()))

    wanted = whole(plate.sources)
    assert wanted.num_rows == 9
    assert whole(placed(plate, bucket.put(plate.root)).sources).equals(wanted)


def test_image_sets_that_are_too_large_to_be_fetched_ahead_are_the_same(
    tmp_path: Path, bucket: Bucket, faulty: FaultyS3
) -> None:
    plate = build_plate(tmp_path, PLACES[:2])
    large = np.random.default_rng(3).integers(0, 4000, (3000, 3000), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "images" / "PlateA" / "A02_s1_ER.tif", large, tile=(512, 512))
    wanted = cut(plate)
    root = bucket.put(tmp_path)
    sources = dataclasses.replace(plate.sources, image_dir=root / "images")
    faulty.forget()
    got = cut(dataclasses.replace(plate, sources=sources), max_memory=64 * 2**20)
    assert got.table.equals(wanted.table)
    assert sum(1 for one in faulty.requests if one.range) < 10


@pytest.mark.parametrize("kind", ["slow_down", "reset", "short"])
def test_passing_faults_change_nothing(
    plate: Plate, bucket: Bucket, faulty: FaultyS3, kind: Any
) -> None:
    wanted = cut(plate)
    root = bucket.put(plate.root)
    faulty.play(Fault(kind, probability=0.25, times=6), seed=5)
    assert_same(cut(placed(plate, root), workers=2), wanted, root, plate.root)


@pytest.mark.parametrize(("operation", "after"), [("ListObjectsV2", 0), ("GetObject", 7)])
def test_a_store_that_fails_ends_the_run(
    plate: Plate, bucket: Bucket, faulty: FaultyS3, operation: str, after: int
) -> None:
    root = bucket.put(plate.root, attempts=2)
    faulty.play(Fault("slow_down", operation=operation, after=after))
    with pytest.raises(StoreUnavailableError, match=rf"{root}"):
        cut(placed(plate, root), workers=2)


def test_a_store_that_refuses_ends_the_run(
    plate: Plate, bucket: Bucket, faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = bucket.put(plate.root, attempts=3)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    faulty.forget()
    with pytest.raises(StoreError, match="access denied"):
        cut(placed(plate, root))
    assert len(faulty.requests) == 1


def test_an_image_that_changes_after_the_listing_ends_the_run(plate: Plate, bucket: Bucket) -> None:
    root = bucket.put(plate.root)
    there = placed(plate, root)
    profiles = [profile_rows(image_set, [GOOD]) for image_set in plate.sets]

    def changing() -> Any:
        yield profiles[0]
        file = bucket.on_disk(root / "images" / "PlateA" / "A02_s1_DNA.tif")
        tifffile.imwrite(file, np.zeros(SHAPE, np.uint16))
        yield from profiles[1:]

    log, books = RejectionLog(), CropBooks()
    with pytest.raises(InputChangedError, match=r"A02_s1_DNA\.tif: changed"):
        list(image_crops(changing(), there.sets, there.sources, log, "Cells", books))


def test_a_folder_that_is_not_there_is_said(plate: Plate, bucket: Bucket) -> None:
    there = placed(plate, bucket.put(plate.root) / "elsewhere")
    with pytest.raises(ConfigurationError, match=r"elsewhere/images: no object lies below it"):
        cut(there)


class TestPrefixMap:
    """Records lead into a bucket by the user's map, and never by themselves."""

    @pytest.fixture
    def root(self, plate: Plate, bucket: Bucket) -> ObjectPath:
        return bucket.put(plate.root)

    def mapped(
        self, plate: Plate, prefixes: dict[str, Any], names: Sequence[str] = ("/acquired/PlateA",)
    ) -> Cropped:
        (path_name,) = names
        sets = [
            dataclasses.replace(
                one,
                channels=tuple(
                    dataclasses.replace(file, path_name=path_name) for file in one.channels
                ),
            )
            for one in plate.sets
        ]
        sources = dataclasses.replace(
            plate.with_options(path_prefix_map=prefixes), image_dir=None, mask_dir=None
        )
        return crop([profile_rows(one, [GOOD]) for one in sets], sets, sources)

    @pytest.mark.parametrize("recorded", ["/acquired", "s3://gallery/project/acquired"])
    def test_crops_are_those_from_disk(
        self, plate: Plate, root: ObjectPath, faulty: FaultyS3, recorded: str
    ) -> None:
        names = (f"{recorded}/PlateA",)
        wanted = self.mapped(plate, {recorded: str(plate.root / "images")}, names)
        assert wanted.books.written == 9
        faulty.forget()
        got = self.mapped(plate, {recorded: root / "images"}, names)
        assert got.table.equals(wanted.table)
        assert got.books == wanted.books
        # Some are looked up one by one, then their folder is listed.
        assert faulty.counts() == {"HeadObject": 8, "ListObjectsV2": 1, "GetObject": 10}

    def test_a_recorded_bucket_is_not_read_by_itself(
        self, plate: Plate, root: ObjectPath, faulty: FaultyS3
    ) -> None:
        faulty.forget()
        result = self.mapped(plate, {}, (f"{root}/images/PlateA",))
        assert result.reasons == {"missing_image": 10}
        assert not faulty.requests

    def test_changes_are_seen(self, plate: Plate, bucket: Bucket, root: ObjectPath) -> None:
        sources = plate.with_options(path_prefix_map={"/acquired": root / "images"})
        before = mapped_fingerprint(sources, plate.sets)
        assert mapped_fingerprint(sources, plate.sets) == before
        bucket.on_disk(root / "images" / "PlateA" / "A01_s1_ER.tif").write_bytes(b"new")
        assert mapped_fingerprint(sources, plate.sets) != before


def test_recorded_urls_are_found_below_the_image_folder(
    plate: Plate, bucket: Bucket, faulty: FaultyS3
) -> None:
    root = bucket.put(plate.root)
    there = placed(plate, root)
    wanted = cut(there)
    there.sets = [
        dataclasses.replace(
            one,
            channels=tuple(
                dataclasses.replace(
                    file, path_name=None, url=f"{root}/images/PlateA/{file.file_name}"
                )
                for file in one.channels
            ),
        )
        for one in plate.sets
    ]
    got = cut(there)
    assert got.books == wanted.books
    columns = ["Metadata_ObjectID", "source_image_path", "ome_arrow_label"]
    assert got.table.select(columns).equals(wanted.table.select(columns))


def test_overlays_of_the_gallery_are_listed_together(
    tmp_path: Path, bucket: Bucket, faulty: FaultyS3
) -> None:
    places = [(f"A{number:02}", "1") for number in range(1, 21)]
    plate = build_plate(tmp_path, places)
    folders, sets = [], []
    for image_set in plate.sets:
        relative = f"workspace/analysis/b/PlateA/analysis/PlateA-{image_set.well_id}-1"
        outlines = tmp_path / relative / "outlines"
        outlines.mkdir(parents=True)
        tifffile.imwrite(outlines / f"{image_set.well_id}_s1--cells.tif", np.ones(SHAPE, np.uint8))
        sets.append(dataclasses.replace(image_set, source_folder=relative))
        folders.append((relative, image_set))
    plate.sets = sets

    def sources(root: Any) -> PlateSources:
        dataset = dataclasses.replace(
            plate.sources.dataset, root=root, layout="cell-painting-gallery"
        )
        measured = tuple(
            MeasurementFolder(root / relative, relative, one.well_id, one.site_id, {})
            for relative, one in folders
        )
        return dataclasses.replace(
            plate.sources, dataset=dataset, folders=measured, image_dir=root / "images"
        )

    wanted = cut(dataclasses.replace(plate, sources=sources(tmp_path)))
    assert set(wanted.table["label_source_kind"].to_pylist()) == {"outline"}
    root = bucket.put(tmp_path)
    faulty.forget()
    assert cut(dataclasses.replace(plate, sources=sources(root))).table.equals(wanted.table)
    assert faulty.count("GetObject") == 60
    assert faulty.count("ListObjectsV2") <= 4
