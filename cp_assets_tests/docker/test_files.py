"""Dockerfile, Compose file and locks keep their rules; their own validators accept them."""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from cp_assets_tests.docker.compose_file import (
    COMPOSE,
    DOCKER,
    ROOT,
    SECRETS,
    VARIABLE,
    find_program,
    read_services,
)

_GIVEN = dict.fromkeys(SECRETS, "given")
_ONE_SHOT = {"migrate"}
_DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    return read_services(_GIVEN)


def _lasting(services: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: one for name, one in services.items() if name not in _ONE_SHOT}


@pytest.mark.parametrize(
    "command",
    [
        ("hadolint", "--failure-threshold", "style", "docker/Dockerfile"),
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker/compose.yaml"),
    ],
    ids=lambda command: command[0],
)
def test_validator_accepts(command: tuple[str, ...]) -> None:
    program, *arguments = command
    ran = subprocess.run(
        [find_program(program), *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_validator_refuses_a_slip(tmp_path: Path) -> None:
    slip = tmp_path / "compose.yaml"
    text = COMPOSE.read_text(encoding="utf-8")
    slip.write_text(text.replace("start_period: 60s", "start_periode: 60s"), encoding="utf-8")
    ran = subprocess.run(
        [find_program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(slip)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "start_periode" in ran.stdout


def test_images_name_their_exact_version(services: dict[str, dict[str, Any]]) -> None:
    bases = re.findall(r"^ARG PYTHON_IMAGE=(\S+)", _DOCKERFILE, re.MULTILINE)
    images = {one["image"] for one in services.values()} - {"cp_assets:local"}
    assert len(bases) == 1
    for image in [*bases, *images]:
        assert re.search(r":v?\d+\.\d+", image), f"{image} may become another one tomorrow"


def test_image_runs_as_an_account_that_owns_nothing() -> None:
    (user,) = re.findall(r"^USER (\S+)", _DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
    assert _DOCKERFILE.rindex("USER ") > _DOCKERFILE.rindex("COPY ")


def test_build_context_holds_what_is_copied_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", _DOCKERFILE, re.MULTILINE))
    assert lines[1] == "*"
    assert kept == {name for names in copied for name in names.split()}
    assert not [one for one in kept if fnmatch(".env", one) or fnmatch(".git", one)]


def test_ports_are_open_on_loopback_unless_told_otherwise(
    services: dict[str, dict[str, Any]],
) -> None:
    ports = [port for one in services.values() for port in one.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)
    told = read_services(_GIVEN | {"CP_ASSETS_BIND": "10.0.0.7"})
    assert told["webserver"]["ports"] == ["10.0.0.7:3000:3000"]
    assert told["postgres"]["ports"] == services["postgres"]["ports"]


def test_services_are_watched_bounded_and_started_again(
    services: dict[str, dict[str, Any]],
) -> None:
    for name, one in services.items():
        assert one["deploy"]["resources"]["limits"]["memory"], name
        assert one["read_only"], name
        assert "no-new-privileges:true" in one["security_opt"], name
        assert not any("docker.sock" in str(volume) for volume in one["volumes"]), name
    for name, one in _lasting(services).items():
        assert one["restart"] == "unless-stopped", name
        assert one["healthcheck"]["test"][0] == "CMD", name
    waited = [
        (name, other, how["condition"])
        for name, one in services.items()
        for other, how in one.get("depends_on", {}).items()
    ]
    assert waited
    for name, other, condition in waited:
        wanted = "service_completed_successfully" if other in _ONE_SHOT else "service_healthy"
        assert condition == wanted, f"{name} waits for {other}"


@pytest.mark.parametrize("secret", SECRETS)
def test_secret_has_no_default(secret: str) -> None:
    with pytest.raises(LookupError, match=f"{secret}: write it into .env"):
        read_services({name: value for name, value in _GIVEN.items() if name != secret})


def test_example_names_every_variable_and_no_secret() -> None:
    lines = (DOCKER / ".env.example").read_text(encoding="utf-8").splitlines()
    named = dict(re.findall(r"^#?([A-Z0-9_]+)=(.*)$", "\n".join(lines), re.MULTILINE))
    used = {found["name"]: found for found in VARIABLE.finditer(COMPOSE.read_text("utf-8"))}
    assert set(named) == set(used) - {"POSTGRES_USER"}
    for name, value in named.items():
        assert value == ("" if name in SECRETS else used[name]["text"]), name


def _locked(name: str) -> set[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text, f"{name} names an address"
    return set(re.findall(r"^([a-z0-9-]+==\S+)", text, re.MULTILINE))


def test_production_lock_is_what_the_tests_run_with() -> None:
    production = _locked("requirements-production.lock")
    assert _locked("requirements.lock") < production < _locked("requirements-dev.lock")
    names = {one.partition("==")[0] for one in production}
    assert {"dagster-aws", "dagster-k8s", "dagster-postgres", "psycopg2-binary"} <= names
