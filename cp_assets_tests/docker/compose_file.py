"""compose.yaml as Compose reads it: variables filled in, anchors resolved."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
COMPOSE = DOCKER / "compose.yaml"

VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\}")
"""``${NAME}``, ``${NAME:-default}`` or ``${NAME:?what to do}``."""

SECRETS = ("POSTGRES_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY", "GARAGE_RPC_SECRET")


def read_services(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The services, with variables from an environment.

    Raises
    ------
    LookupError
        If a variable that has to be there is not.
    """
    found = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    services: dict[str, dict[str, Any]] = _filled_in(found["services"], environment)
    return services


def find_program(name: str) -> str:
    """A program that an installed package brought."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(name)
    assert found, f"{name} is not beside Python: install requirements-dev.lock"
    return found


def _filled_in(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled_in(one, environment) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled_in(one, environment) for one in value]
    if not isinstance(value, str):
        return value
    return VARIABLE.sub(lambda found: _value(found, environment), value)


def _value(found: re.Match[str], environment: Mapping[str, str]) -> str:
    name, kind, text = found["name"], found["kind"], found["text"]
    given = environment.get(name, "")
    if not given and kind == "?":
        raise LookupError(f"{name}: {text}")
    return given or (text if kind == "-" else "")
