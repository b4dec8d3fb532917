"""Warehouses whose catalog or storage is a service: everything is as in a folder."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cp_assets.conversion import convert
from cp_assets.errors import ConfigurationError, WarehouseError, WarehouseUnavailableError
from cp_assets.sample import SampleTruth
from cp_assets.warehouse.catalog import hold_configured
from cp_assets.warehouse.warehouse import Warehouse, open_warehouse
from cp_assets.warehouse.writer import write_partition
from cp_assets_tests.services.missing import missing
from cp_assets_tests.services.postgres import Postgres
from cp_assets_tests.services.s3 import S3Server
from cp_assets_tests.warehouse.configured import KINDS, catalog_of, configured
from cp_assets_tests.warehouse.plates import SPEC, batch, numbers, scope, write
from cp_assets_tests.warehouse.training.tables import CHANNELS as CROP_CHANNELS
from cp_assets_tests.warehouse.training.tables import cells, write_crops
from cp_assets_tests.warehouses import assert_same_rows, snapshots


@pytest.fixture(scope="module", params=KINDS)
def converted(
    request: pytest.FixtureRequest,
    postgres: Postgres,
    s3_server: S3Server,
    small_sample: SampleTruth,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Warehouse]:
    """The small sample in a catalog of this kind, converted and opened by the catalog's name."""
    folder = tmp_path_factory.mktemp(request.param)
    with (
        catalog_of(request.param, folder, postgres, s3_server) as properties,
        configured({"lab": properties}, folder),
    ):
        convert(small_sample.root, "lab", dataset_id="sample", include_source_images=True)
        yield open_warehouse("lab")


def test_convert_writes_the_same_rows(converted: Warehouse, built: Warehouse) -> None:
    assert_same_rows(converted, built)
    without = ("snapshot_id",)
    assert (
        converted.describe().drop_columns(without).sort_by("table").column("rows").to_pylist()
        == built.describe().drop_columns(without).sort_by("table").column("rows").to_pylist()
    )


def test_convert_again_changes_nothing(converted: Warehouse, small_sample: SampleTruth) -> None:
    before = snapshots(converted)
    convert(small_sample.root, converted, dataset_id="sample", include_source_images=True)
    assert snapshots(converted) == before


def test_reads_are_those_of_a_folder(converted: Warehouse, built: Warehouse) -> None:
    wanted = {"name": "image_crops", "well": "e13", "site": "1", "columns": ["image_id"]}
    assert converted.read_table(**wanted).equals(built.read_table(**wanted))
    assert converted.scan(**wanted).read_all().equals(built.read_table(**wanted))
    one = built.read_table("image_crops", columns=["Metadata_ObjectID"])[0][7].as_py()
    crops = converted.read_table("image_crops", object_id=one)
    assert crops.num_rows
    assert crops.equals(built.read_table("image_crops", object_id=one))
    count = "SELECT count(*), sum(Nuclei_AreaShape_Area) FROM profile_with_images"
    assert converted.duckdb().sql(count).fetchall() == built.duckdb().sql(count).fetchall()


def test_training_batches_are_those_of_a_folder(converted: Warehouse, built: Warehouse) -> None:
    names = built.read_table("image_crops", columns=["Metadata_Channel"])[0].unique().to_pylist()
    options = {"channels": sorted(names)[:2], "size": 24, "batch_size": 16, "shuffle": 3}
    for ours, theirs in zip(converted.crops(**options), built.crops(**options), strict=True):
        assert ours.object_ids == theirs.object_ids
        np.testing.assert_array_equal(ours.pixels, theirs.pixels)


def test_a_failed_write_leaves_nothing(converted: Warehouse, s3_server: S3Server) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield batch([5], "P9")
        msg = "the reader broke"
        raise RuntimeError(msg)

    write(converted, batch([1, 2], "P9"), plate="P9")
    before = _files(converted, s3_server)
    assert before
    with pytest.raises(RuntimeError, match="the reader broke"):
        write_partition(converted, SPEC, scope("P9"), broken(), "f")
    assert numbers(converted, plate="P9") == [1, 2]
    assert _files(converted, s3_server) == before


def _files(warehouse: Warehouse, s3: S3Server) -> list[Path]:
    scheme, _, place = warehouse.table("small").location().partition("://")
    folder = s3.folder / place if scheme == "s3" else Path(place)
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def on_s3(tmp_path: Path, s3_server: S3Server, postgres: Postgres) -> Iterator[Warehouse]:
    """An empty warehouse whose tables lie on S3."""
    with (
        catalog_of("sqlite-s3", tmp_path, postgres, s3_server) as properties,
        configured({"lab": properties}, tmp_path),
    ):
        yield open_warehouse("lab")


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_of_a_loader_read_from_s3(on_s3: Warehouse, start: str) -> None:
    if importlib.util.find_spec("torch") is None:
        missing("no torch")
    from torch.utils.data import DataLoader

    crops = cells(9)
    write_crops(on_s3, crops, rows=5)
    stream = on_s3.crops(channels=CROP_CHANNELS, size=6, batch_size=2)
    # Connections that are in use before the fork must not be used by two processes.
    assert len(list(stream)) > 2
    loader = DataLoader(
        stream.torch(), batch_size=None, num_workers=2, multiprocessing_context=start
    )
    found = [name for loaded in loader for name in loaded["object_ids"]]
    assert sorted(found) == sorted({crop.object_id for crop in crops})


PASSWORD = "not-a-real-password"


@pytest.mark.parametrize(
    ("uri", "error", "message"),
    [
        ("postgresql+psycopg2://user:{}@127.0.0.1:1/db", WarehouseUnavailableError, "refused"),
        ("postgresql+psycopg2://user:{}@127.0.0.1:bad/db", ConfigurationError, "ValueError"),
        ("postgres://user:{}@127.0.0.1:1/db", ConfigurationError, "ValueError"),
        ("postgresql+none://user:{}@127.0.0.1:1/db", ConfigurationError, "NoSuchModule"),
        ("http://user:{}@127.0.0.1:1/", WarehouseUnavailableError, "refused"),
        ("here:{}", ConfigurationError, "ValueError"),
    ],
)
def test_a_catalog_that_cannot_be_opened_is_told_without_its_password(
    tmp_path: Path, uri: str, error: type[Exception], message: str
) -> None:
    properties = {"uri": uri.format(PASSWORD), "warehouse": f"file://{tmp_path}"}
    with configured({"lab": properties}, tmp_path), pytest.raises(error, match=message) as raised:
        open_warehouse("lab")
    assert "catalog lab" in str(raised.value)
    assert PASSWORD not in "".join(traceback.format_exception(raised.value))


def test_a_wrong_password_is_final_and_not_told(tmp_path: Path, postgres: Postgres) -> None:
    uri = postgres.url(postgres.make_database()).replace(postgres.password, PASSWORD)
    properties = {"uri": uri, "warehouse": f"file://{tmp_path}"}
    with (
        configured({"lab": properties}, tmp_path),
        pytest.raises(ConfigurationError, match="password authentication failed") as raised,
    ):
        open_warehouse("lab")
    assert PASSWORD not in "".join(traceback.format_exception(raised.value))


def test_a_url_is_no_warehouse_and_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match="name of a configured") as raised:
        open_warehouse(f"postgresql://user:{PASSWORD}@127.0.0.1/db")
    assert PASSWORD not in str(raised.value)


def test_wrong_keys_of_s3_are_an_error_of_ours(
    tmp_path: Path, s3_server: S3Server, postgres: Postgres
) -> None:
    with catalog_of("sqlite-s3", tmp_path, postgres, s3_server) as properties:
        wrong = {**properties, "s3.secret-access-key": PASSWORD}
        with configured({"lab": wrong}, tmp_path):
            warehouse = open_warehouse("lab")
            with pytest.raises(WarehouseError, match="small") as raised:
                write(warehouse, batch([1]))
    told = "".join(traceback.format_exception(raised.value))
    assert PASSWORD not in told
    assert s3_server.secret_key not in told


def test_settings_of_the_environment_lead_to_s3(
    tmp_path: Path, s3_server: S3Server, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    with catalog_of("sqlite-s3", tmp_path, postgres, s3_server) as properties:
        bare = {k: v for k, v in properties.items() if not k.startswith("s3.")}
        with configured({"lab": bare}, tmp_path):
            warehouse = open_warehouse("lab")
            write(warehouse, batch([1, 2]))
            assert numbers(warehouse) == [1, 2]


@pytest.mark.parametrize("named", ["my_lab", "my-lab", "MY_LAB"])
@pytest.mark.parametrize("written", ["my_lab", "my-lab", "My_Lab", "environment"])
def test_a_catalog_is_found_however_its_name_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, written: str
) -> None:
    """A variable's name cannot hold `-`: PyIceberg reads `_` as `-` there, and only there."""
    properties = {"uri": f"sqlite:///{tmp_path}/c.db", "warehouse": f"file://{tmp_path}"}
    catalogs = {written: properties}
    if written == "environment":
        catalogs = {}
        for name, value in properties.items():
            monkeypatch.setenv(f"PYICEBERG_CATALOG__MY_LAB__{name.upper()}", value)
    with configured(catalogs, tmp_path):
        write(open_warehouse(named), batch([1]))
        assert numbers(open_warehouse(hold_configured(named))) == [1]
    assert (tmp_path / "c.db").is_file()


@pytest.mark.parametrize("written", ["my_lab", "my-lab"])
def test_variables_stand_over_the_file_however_it_writes_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    """As a password or an address that only the machine knows."""
    in_file = {"uri": f"sqlite:///{tmp_path}/file.db", "warehouse": f"file://{tmp_path}/w"}
    with configured({written: in_file}, tmp_path):
        write(open_warehouse("my_lab"), batch([1]))
        assert (tmp_path / "file.db").is_file()
        monkeypatch.setenv("PYICEBERG_CATALOG__MY_LAB__URI", f"sqlite:///{tmp_path}/machine.db")
        write(open_warehouse("my_lab"), batch([2]))
        assert numbers(open_warehouse("my-lab")) == [2]
    assert list((tmp_path / "w").iterdir())


def test_two_catalogs_of_a_file_are_told_apart_by_their_exact_names(tmp_path: Path) -> None:
    two = {
        name: {"uri": f"sqlite:///{tmp_path}/{name}.db", "warehouse": f"file://{tmp_path}"}
        for name in ("my_lab", "my-lab")
    }
    with configured(two, tmp_path):
        write(open_warehouse("my_lab"), batch([1]))
        write(open_warehouse("my-lab"), batch([2]))
        assert numbers(open_warehouse("my_lab")) == [1]
