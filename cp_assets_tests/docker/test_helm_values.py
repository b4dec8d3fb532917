"""The Helm values: what becomes of them in Dagster's own classes for Kubernetes.

The chart's templates are not in any Python package; what they do to these values (names in snake
case, a launcher's section of ``dagster.yaml``, a container context) is done here by hand, and
Dagster's own schemas and its builder of Kubernetes jobs take it from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from dagster._config import process_config
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import DagsterK8sJobConfig, construct_dagster_k8s_job
from dagster_postgres.utils import create_pg_engine, pg_url_from_config

from cp_assets_tests.docker.compose_file import DOCKER, ROOT, SECRETS, read_services


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DOCKER / "helm" / "values.yaml").read_text("utf-8"))
    return found


def _snake_case(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def _launcher(values: dict[str, Any]) -> dict[str, Any]:
    """The launcher's section of the ``dagster.yaml`` that the chart writes."""
    given = {
        _snake_case(name): value
        for name, value in values["runLauncher"]["config"]["k8sRunLauncher"].items()
    }
    given["run_k8s_config"] = {
        _snake_case(name): value for name, value in given["run_k8s_config"].items()
    }
    return {
        **given,
        "service_account_name": values["global"]["serviceAccountName"],
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
        "instance_config_map": "cp-assets-dagster-instance",
        "dagster_home": "/opt/dagster/dagster_home",
    }


def _deployment(values: dict[str, Any]) -> dict[str, Any]:
    (found,) = values["dagster-user-deployments"]["deployments"]
    deployment: dict[str, Any] = found
    return deployment


def _container_context(values: dict[str, Any]) -> dict[str, Any]:
    """What the code server's deployment hands to the runs of its code."""
    deployment = _deployment(values)
    return {
        "env_vars": [f"{one['name']}={one['value']}" for one in deployment["env"]],
        "env_secrets": [one["name"] for one in deployment["envSecrets"]],
        "volumes": deployment["volumes"],
        "volume_mounts": deployment["volumeMounts"],
    }


def _pod(values: dict[str, Any]) -> dict[str, Any]:
    launcher = _processed(K8sRunLauncher.config_type(), _launcher(values))
    context = K8sContainerContext(
        image_pull_policy=launcher["image_pull_policy"],
        service_account_name=launcher["service_account_name"],
        resources=launcher["resources"],
        security_context=launcher["security_context"],
        run_k8s_config=K8sContainerContext.create_from_config(
            {"k8s": {"run_k8s_config": launcher["run_k8s_config"]}}
        ).run_k8s_config,
    ).merge(K8sContainerContext.create_from_config({"k8s": _container_context(values)}))
    config = DagsterK8sJobConfig(
        job_image="registry.example.org/cp_assets:0.1.0",
        dagster_home=launcher["dagster_home"],
        instance_config_map=launcher["instance_config_map"],
        postgres_password_secret=launcher["postgres_password_secret"],
    )
    job = construct_dagster_k8s_job(
        config, ["dagster"], "a-plate", user_defined_k8s_config=context.run_k8s_config
    )
    found: dict[str, Any] = job.to_dict()["spec"]
    return found


def _processed(schema: Any, config: dict[str, Any]) -> dict[str, Any]:
    result = process_config(schema, config)
    assert result.success, [error.message for error in result.errors or []]
    processed: dict[str, Any] = result.value
    return processed


def test_launcher_takes_the_values(values: dict[str, Any]) -> None:
    assert values["runLauncher"]["type"] == K8sRunLauncher.__name__
    _processed(K8sRunLauncher.config_type(), _launcher(values))


def test_launcher_refuses_a_slip(values: dict[str, Any]) -> None:
    slip = _launcher(values) | {"imagepullpolicy": "Always"}
    assert not process_config(K8sRunLauncher.config_type(), slip).success


def test_runs_take_the_deployments_settings(values: dict[str, Any]) -> None:
    assert _deployment(values)["includeConfigInLaunchedRuns"] == {"enabled": True}
    _processed(DagsterK8sJobConfig.config_type_container_context(), _container_context(values))


def test_a_plate_is_a_pod_with_resources_and_no_rights(values: dict[str, Any]) -> None:
    job = _pod(values)
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert job["backoff_limit"] == 0
    assert pod["restart_policy"] == "Never"
    assert pod["security_context"]["run_as_user"] == 10001
    assert pod["security_context"]["run_as_non_root"]
    assert pod["service_account_name"] == "cp-assets"
    assert container["security_context"]["allow_privilege_escalation"] is False
    assert container["resources"]["limits"]["memory"] == "8Gi"
    assert {"/etc/cp_assets", "/scratch"} <= {
        one["mount_path"] for one in container["volume_mounts"]
    }
    assert "cp-assets-env" in {
        one["secret_ref"]["name"] for one in container["env_from"] if one["secret_ref"]
    }


def test_postgresql_is_reached_with_the_driver_that_is_installed(values: dict[str, Any]) -> None:
    given = values["postgresql"]
    url = pg_url_from_config(
        {
            "postgres_db": {
                "scheme": given["postgresqlScheme"],
                "hostname": given["postgresqlHost"],
                "username": given["postgresqlUsername"],
                "db_name": given["postgresqlDatabase"],
                "port": given["service"]["port"],
            }
        }
    )
    assert create_pg_engine(url).driver == "psycopg2"


def test_the_same_code_and_account_as_in_compose(values: dict[str, Any]) -> None:
    services = read_services(dict.fromkeys(SECRETS, "given"))
    arguments = _deployment(values)["codeServerArgs"]
    assert services["code-server"]["command"][-len(arguments) :] == arguments
    dockerfile = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    assert "USER 10001:10001" in dockerfile


def test_chart_is_of_the_locked_version_of_dagster() -> None:
    (locked,) = re.findall(
        r"^dagster==(\S+)", (ROOT / "requirements-production.lock").read_text("utf-8"), re.MULTILINE
    )
    text = (DOCKER / "helm" / "values.yaml").read_text(encoding="utf-8")
    assert f"--version {locked} " in text


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (str(value[key]) for key in ("name",) if key in value)
        yield from value
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _keys(one)


def test_no_secret_stands_in_the_values(values: dict[str, Any]) -> None:
    named = set(_keys(values))
    assert {"postgresqlUsername", "AWS_DEFAULT_REGION"} <= named
    assert not named & {"postgresqlPassword", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"}
    assert not [name for name in named if name.endswith("__URI")]
