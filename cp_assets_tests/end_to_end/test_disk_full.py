"""The disk is full at random moments of a plate's run."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.utils.config import Config

from cp_assets.building.maintaining import maintain_warehouse
from cp_assets.conversion import convert
from cp_assets.errors import WarehouseWriteError
from cp_assets.sample import SampleOptions, write_sample
from cp_assets.warehouse.warehouse import open_warehouse
from cp_assets_tests.end_to_end.kills import AT_ONCE, DATASET
from cp_assets_tests.end_to_end.small_disk import CountedDisk, Disk, RealDisk
from cp_assets_tests.end_to_end.states import Reader, ReaderBeside

CATALOG = "small-disk"
SEED = 28
MOMENTS = 12


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Disk]:
    disk = CountedDisk(tmp_path / "disk")
    disk.folder.mkdir()
    yield disk
    disk.free()


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    with RealDisk.mounted(folder) as disk:
        if disk is None:
            pytest.skip("only root may mount a small disk; the counted one is tried in any case")
        yield disk


def build(root: Path) -> None:
    convert(root, CATALOG, dataset_id=DATASET, include_source_images=True)


def reading(disk: Disk) -> Reader:
    return Reader.of_folder(disk.folder / "warehouse", CATALOG)


def rows(disk: Disk) -> dict[str, str]:
    with reading(disk) as reader:
        return reader.rows()


def counts(disk: Disk) -> dict[str, int]:
    with reading(disk) as reader:
        return reader.counts(DATASET)


def used(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def configure(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name the warehouse on the disk, which is the same catalog for every kind of disk."""
    folder = disk.folder / "warehouse"
    folder.mkdir()
    settings = {
        "TYPE": "sql",
        "URI": f"sqlite:///{folder}/catalog.db?timeout=60",
        "WAREHOUSE": f"file://{folder}",
        **({"PY_IO_IMPL": disk.io} if disk.io else {}),
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"PYICEBERG_CATALOG__SMALL_DISK__{name}", value)
    # PyIceberg reads the environment when it is imported.
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", Config())
    return folder


def samples(folder: Path) -> tuple[Path, Path]:
    """The same plate twice, with other cells."""
    made = []
    for cells in (6, 9):
        options = SampleOptions(
            plates=1, wells=1, sites=1, cells=cells, seed=cells, image_size=(100, 100)
        )
        made.append(write_sample(folder / str(cells) / options.prefix, options).root)
    return made[0], made[1]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["counted", "real"])
def test_full_disk_leaves_tables_as_before_and_is_told(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk: Disk = request.getfixturevalue(kind)
    warehouse = configure(disk, monkeypatch)
    old, new = samples(tmp_path)
    build(old)
    before, kept, states = rows(disk), tmp_path / "kept", [counts(disk)]
    shutil.copytree(warehouse, kept)
    size = used(warehouse)
    build(new)
    after, needed = rows(disk), used(warehouse) - size
    states.append(counts(disk))
    looks = 0
    chance = random.Random(SEED)  # noqa: S311 - moments, not secrets
    for moment in range(MOMENTS):
        shutil.rmtree(warehouse)
        shutil.copytree(kept, warehouse)
        disk.leave(int(chance.random() * needed * 0.95))
        told = r"could not be written \(.*([Nn]o space left|disk is full|disk I/O).*Free space"
        beside = ReaderBeside(lambda: reading(disk), DATASET, states)
        with beside, pytest.raises(WarehouseWriteError, match=told):
            build(new)
        assert not beside.faults, moment
        looks += beside.looks
        for name, found in rows(disk).items():
            assert found in (before.get(name), after.get(name)), (moment, name)
        disk.free()
        build(new)
        assert rows(disk) == after, moment
        list(maintain_warehouse(open_warehouse(CATALOG), options=AT_ONCE))
        assert rows(disk) == after, moment
        with reading(disk) as reader:
            assert not reader.misplaced(), moment
            assert reader.manifest_is_true(), moment
    assert looks >= MOMENTS
