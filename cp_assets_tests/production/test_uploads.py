"""What a data steward sees: a prefix is uploaded, and its plates become tables, by no hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import cp_assets
from cp_assets.sample import SampleOptions, SampleTruth, write_sample
from cp_assets.warehouse.warehouse import open_warehouse
from cp_assets_tests.production.lab import Lab, make_lab, texts_of
from cp_assets_tests.services.postgres import Postgres
from cp_assets_tests.services.s3 import S3Server
from cp_assets_tests.warehouses import assert_same_rows

OPTIONS = SampleOptions(plates=2, wells=1, sites=1, cells=6, seed=5, image_size=(100, 110))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def sample(tmp_path: Path) -> SampleTruth:
    return write_sample(tmp_path / "sample", OPTIONS)


@pytest.fixture
def lab(
    tmp_path: Path, postgres: Postgres, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Lab]:
    folder = tmp_path / "lab"
    folder.mkdir()
    made = make_lab(folder, postgres, s3_server)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    with made.running():
        yield made


def test_prefix_that_is_uploaded_becomes_tables(
    lab: Lab, sample: SampleTruth, tmp_path: Path
) -> None:
    lab.put(sample)
    runs = lab.ended_runs(2)
    assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 2
    assert [lab.failed_checks(run) for run in runs] == [[], []]
    local = cp_assets.convert(sample.root, tmp_path / "local", dataset_id="s")
    assert_same_rows(open_warehouse("lab"), local)

    (table, *_) = sorted(sample.root.glob("workspace/analysis/*/*/analysis/*/Nuclei.csv"))
    changed = table.read_bytes().replace(b"\n", b"\r\n")
    lab.put_file(lab.s3.client(), table.relative_to(sample.root).as_posix(), changed)
    newest, *older = lab.ended_runs(3)
    assert {run.run_id for run in older} == {run.run_id for run in runs}
    assert newest.tags["cp_assets/plate"] == table.parents[2].name
    assert newest.status == dg.DagsterRunStatus.SUCCESS
    assert_same_rows(open_warehouse("lab"), local)

    # A plate that cannot be read: what fails must not say more than it should, either.
    lab.put_file(lab.s3.client(), table.relative_to(sample.root).as_posix(), b"ImageNumber\n\0")
    failed, *_ = lab.ended_runs(4)
    assert failed.tags["cp_assets/plate"] == table.parents[2].name
    _hold_secrets_hidden(lab)


def _hold_secrets_hidden(lab: Lab) -> None:
    """No key and no password in what Dagster remembers and prints, and in what we wrote."""
    told = {
        "Dagster's database": lab.dump(),
        "the daemon's log": lab.log.read_text(errors="replace"),
        "logs of runs": texts_of(lab.folder / "dagster"),
        "the warehouse": _warehouse_text(lab),
    }
    for place, text in told.items():
        assert text, place
        for secret in (lab.s3.secret_key, lab.s3.access_key, lab.postgres.password):
            assert secret not in text, place


def _warehouse_text(lab: Lab) -> str:
    """Metadata of tables, and of what they hold where it may be text."""
    client = lab.s3.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=lab.bucket, Prefix="warehouse")
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    texts = [key for key in keys if key.endswith((".json", ".avro"))]
    assert texts
    bodies = [client.get_object(Bucket=lab.bucket, Key=key)["Body"].read() for key in texts]
    return "\n".join(body.decode("latin-1") for body in bodies)
