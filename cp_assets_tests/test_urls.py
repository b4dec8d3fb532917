"""`convert` and the command line on URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

import cp_assets
from cp_assets.errors import ConfigurationError, StoreError
from cp_assets.sample import SampleTruth
from cp_assets.stores import StoreOptions, StoreSettings
from cp_assets_tests.services.buckets import Bucket
from cp_assets_tests.services.faulty import FaultyS3
from cp_assets_tests.test_cli import last_line, run
from cp_assets_tests.test_conversion import write_plate

TABLES = ("raw_measurements", "joined_profiles")


def configure(folder: Path, endpoint: str) -> Path:
    """A configuration that says how buckets are reached."""
    file = folder / "cp_assets.yaml"
    file.write_text(f'stores: {{"s3://folders": {{endpoint_url: "{endpoint}", attempts: 2}}}}')
    return file


def test_convert_of_a_url_reads_how_it_is_reached(
    tmp_path: Path, bucket: Bucket, faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_plate(tmp_path / "above" / "plate")
    (tmp_path / "dose.csv").write_text("Metadata_Well,Metadata_Dose\nA01,2\n")
    truth = cp_assets.convert(folder, tmp_path / "truth", annotations=[tmp_path / "dose.csv"])
    url = str(bucket.put(tmp_path))
    monkeypatch.setenv("CP_ASSETS_CONFIG", str(configure(tmp_path, faulty.endpoint)))
    options = {"annotations": [f"{url}/dose.csv"]}
    found = cp_assets.convert(f"{url}/above/plate", tmp_path / "wh", **options)  # type: ignore[arg-type]
    for name in TABLES:
        assert found.read_table(name).equals(truth.read_table(name))
    # Nothing has changed: only what is there is asked for, and the annotation read.
    faulty.forget()
    builds: list[str] = []
    cp_assets.convert(
        f"{url}/above/plate",
        tmp_path / "wh",
        report=lambda _, build: builds.append(build.state),
        **options,  # type: ignore[arg-type]
    )
    assert "written" not in builds
    manifest = found.read_table("manifest", columns=["source_root"])
    assert set(manifest["source_root"].to_pylist()) == {f"{url}/above/plate"}


def test_convert_takes_options_of_stores(tmp_path: Path, bucket: Bucket) -> None:
    root = bucket.put(write_plate(tmp_path / "plate"))
    stores = StoreSettings({"s3://folders": root.options})
    warehouse = cp_assets.convert(str(root), tmp_path / "wh", dataset_id="d", stores=stores)
    assert warehouse.read_table("joined_profiles").num_rows > 0
    anonymous = StoreSettings({"s3://folders": StoreOptions(
        anonymous=True, endpoint_url=root.options.endpoint_url, attempts=1
    )})  # fmt: skip
    with pytest.raises(StoreError, match=r"access denied|refuses"):
        cp_assets.convert(str(root), tmp_path / "other", stores=anonymous)
    with pytest.raises(ConfigurationError, match="image_dir: s3://folders/none is not a folder"):
        cp_assets.convert(
            str(root), tmp_path / "other", image_dir="s3://folders/none", stores=stores
        )


def test_command_line_takes_urls(
    tmp_path: Path, small_sample: SampleTruth, bucket: Bucket, faulty: FaultyS3
) -> None:
    url = str(bucket.put(small_sample.root))
    reached = ("--endpoint-url", faulty.endpoint)
    keys = run("plates", url, *reached).stdout.splitlines()
    assert [key.partition("/")[2] for key in keys] == [
        key.partition("/")[2].partition("\t")[0]
        for key in run("plates", small_sample.root).stdout.splitlines()
    ]
    details = run("plates", url, "--details", *reached).stdout.splitlines()
    assert [line.split("\t")[0] for line in details] == keys
    assert all("\t4 measurement folder(s)\tcellprofiler-csv" in line for line in details)
    site = f"{url}/workspace/analysis/{'/'.join(keys[0].split('/')[1:])}/analysis"
    words = ("convert", site, "--warehouse", tmp_path / "wh", "--dataset-id", "d", *reached)
    assert "profiles.joined_profiles" in run(*words).stdout
    refused = run("plates", url, "--anonymous", *reached, code=2)
    assert last_line(refused).startswith("cp-assets: s3://folders/")


def test_command_line_reads_stores_of_the_configuration(
    tmp_path: Path, small_sample: SampleTruth, bucket: Bucket, faulty: FaultyS3
) -> None:
    url = str(bucket.put(small_sample.root))
    file = configure(tmp_path, faulty.endpoint)
    assert len(run("plates", url, "--config", file).stdout.splitlines()) == 2
    with file.open("a") as stream:
        stream.write(f"\ndatasets: [{{dataset_id: d, root: '{url}'}}]")
    assert [key[:2] for key in run("plates", "--config", file).stdout.splitlines()] == ["d/"] * 2


def test_url_of_an_unknown_kind_is_a_mistake_of_the_call() -> None:
    assert "expected a folder, or a URL" in last_line(run("plates", "http://x/y", code=2))
