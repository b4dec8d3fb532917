"""The services of compose.yaml, started by its own commands, build a plate."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from pyiceberg.catalog import load_catalog

from cp_assets.sample import CHANNELS, SampleTruth
from cp_assets_tests.docker.conftest import BUCKET
from cp_assets_tests.docker.deployment import Deployment
from cp_assets_tests.services.s3 import S3Server

# Half a minute where the machine has nothing else to do.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_RUN_SECONDS = 400

_ADD = """mutation($key: String!) { addDynamicPartition(
  partitionKey: $key, partitionsDefName: "plates",
  repositorySelector: {repositoryLocationName: "cp_assets", repositoryName: "__repository__"}
) { __typename } }"""
_LAUNCH = """mutation($key: String!) { launchPipelineExecution(executionParams: {
  selector: {repositoryLocationName: "cp_assets", repositoryName: "__repository__",
             pipelineName: "build_plates"},
  executionMetadata: {tags: [{key: "dagster/partition", value: $key}]}
}) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_RUN = (
    """query($run: ID!) { runOrError(runId: $run) { ... on Run { status tags { key value } } } }"""
)


def _launched(deployment: Deployment, key: str) -> str:
    added = deployment.graphql(_ADD, key=key)["addDynamicPartition"]
    assert added["__typename"] == "AddDynamicPartitionSuccess"
    launched = deployment.graphql(_LAUNCH, key=key)["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id: str = launched["run"]["runId"]
    return run_id


def _status(deployment: Deployment, run_id: str) -> str:
    return str(deployment.graphql(_RUN, run=run_id)["runOrError"]["status"])


def _ended(deployment: Deployment, run_id: str) -> str:
    end = time.monotonic() + _RUN_SECONDS
    while (status := _status(deployment, run_id)) not in ("SUCCESS", "FAILURE", "CANCELED"):
        assert time.monotonic() < end, f"{status}\n{deployment.log('daemon')}"
        time.sleep(0.5)
    return status


@pytest.fixture
def running(deployment: Deployment, small_sample: SampleTruth) -> Deployment:
    """Every service, started in Compose's order, with the sample as its dataset."""
    dataset = {"dataset_id": "sample", "root": str(small_sample.root)}
    text = yaml.safe_dump({"datasets": [dataset]})
    Path(deployment.environment("worker")["CP_ASSETS_CONFIG"]).write_text(text, encoding="utf-8")
    deployment.run("migrate")
    for name in ("code-server", "worker"):
        deployment.start(name)
    for name in ("code-server", "worker"):
        deployment.wait_until_healthy(name)
    for name in ("webserver", "daemon"):
        deployment.start(name)
    for name in ("webserver", "daemon"):
        deployment.wait_until_healthy(name)
    return deployment


def test_a_plate_is_built_on_postgresql_and_s3(
    running: Deployment, bucket: S3Server, small_sample: SampleTruth
) -> None:
    plate = small_sample.options.plate_names[0]
    key = f"sample/{small_sample.options.batch}/{plate}"
    run_id = _launched(running, key)
    assert _ended(running, run_id) == "SUCCESS", running.log("worker")

    settings = running.environment("worker")
    catalog = load_catalog(
        # The name that PyIceberg gives what environment variables configure; rows carry it.
        "cp-assets",
        type="sql",
        uri=settings["PYICEBERG_CATALOG__CP_ASSETS__URI"],
        warehouse=settings["PYICEBERG_CATALOG__CP_ASSETS__WAREHOUSE"],
        **bucket.pyiceberg(),
    )
    cells = [cell for cell in small_sample.cells if cell.plate == plate]
    profiles = catalog.load_table("profiles.joined_profiles")
    assert profiles.location().startswith(f"s3://{BUCKET}/warehouse/")
    where = ("Metadata_Well", "Metadata_Site", "Metadata_ObjectNumber")
    found = profiles.scan(selected_fields=where).to_arrow().select(where).to_pylist()
    assert sorted(tuple(map(str, row.values())) for row in found) == sorted(
        (cell.well, str(cell.site), str(cell.cell_number)) for cell in cells
    )
    crops = catalog.load_table("images.image_crops").scan().count()
    assert crops == len(cells) * len(CHANNELS) > 0
    catalog.close()

    assert run_id in running.log("worker")
    assert run_id not in running.log("code-server")
    logs = bucket.client().list_objects_v2(Bucket=BUCKET, Prefix="dagster/compute-logs/")
    assert [one for one in logs["Contents"] if run_id in one["Key"]]
    running.end("worker")
    assert not running.is_healthy("worker")
