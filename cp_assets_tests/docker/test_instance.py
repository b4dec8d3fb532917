"""docker/dagster.yaml makes the instance that it says, on a real PostgreSQL."""

from __future__ import annotations

import dagster as dg
import pytest
from dagster_aws.s3.compute_log_manager import S3ComputeLogManager
from dagster_postgres import (
    PostgresEventLogStorage,
    PostgresRunStorage,
    PostgresScheduleStorage,
)

from cp_assets.running.launcher import WorkersRunLauncher
from cp_assets_tests.docker.deployment import Deployment


def test_instance_is_what_dagster_yaml_says(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = deployment.environment("daemon")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
        assert isinstance(instance.run_storage, PostgresRunStorage)
        assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
        assert isinstance(instance.schedule_storage, PostgresScheduleStorage)
        assert isinstance(instance.compute_log_manager, S3ComputeLogManager)
        assert isinstance(instance.run_launcher, WorkersRunLauncher)
        assert instance.get_run_records() == []
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 8
        assert queue.max_user_code_failure_retries == 20
        assert queue.tag_concurrency_limits == [
            {"key": "cp_assets/dataset", "value": {"applyLimitPerUniqueValue": True}, "limit": 6}
        ]
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert not instance.telemetry_enabled
