"""Log lines know whose they are, in both formats, and hold no secret."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime

import pytest

from cp_assets.errors import ConfigurationError
from cp_assets.logs import LogFormat, log_fields, log_format, set_up_logging

logger = logging.getLogger("cp_assets.of_a_test")


@pytest.fixture
def _as_before() -> Iterator[None]:
    """The root logger's handlers, as pytest has them."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(form: LogFormat) -> list[str]:
    stream = io.StringIO()
    set_up_logging(logging.INFO, form, stream)
    logger.info("begun")
    with log_fields(dataset="d", plate="Plate 1, 'é'"), log_fields(asset="image_crops"):
        logger.info("read %s", "s3://k:hidden@b/x", extra={"figures": {"rows": 3, "seconds": 0.5}})
    logger.error("failed", exc_info=ValueError("token=hidden"))
    return stream.getvalue().splitlines()


@pytest.mark.usefixtures("_as_before")
def test_json_lines_have_the_fields_and_figures() -> None:
    first, second, third = map(json.loads, logged("json"))
    assert datetime.fromisoformat(first["time"]).utcoffset() is not None
    assert {k: v for k, v in first.items() if k != "time"} == {
        "level": "INFO",
        "logger": "cp_assets.of_a_test",
        "message": "begun",
    }
    assert second["message"] == "read s3://***@b/x"
    assert (second["dataset"], second["plate"], second["asset"]) == (
        *("d", "Plate 1, 'é'", "image_crops"),
    )
    assert (second["rows"], second["seconds"]) == (3, 0.5)
    assert "plate" not in third
    assert third["exception"].endswith("ValueError: token=***")


@pytest.mark.usefixtures("_as_before")
def test_text_lines_are_messages() -> None:
    lines = logged("text")
    assert lines[:3] == ["begun", "read s3://***@b/x", "failed"]
    assert "hidden" not in "".join(lines)


def test_format_is_the_one_named_else_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert log_format() == "text"
    monkeypatch.setenv("CP_ASSETS_LOG", "json")
    assert (log_format(), log_format("text")) == ("json", "text")
    monkeypatch.setenv("CP_ASSETS_LOG", "xml")
    with pytest.raises(ConfigurationError, match="CP_ASSETS_LOG is 'xml'; expected text or json"):
        log_format()


def test_command_takes_the_format() -> None:
    program = (
        "import logging\n"
        "from cp_assets.cli import main\n"
        "@main.command()\n"
        "def speak(): logging.getLogger('x').warning('a=%d', 1)\n"
        "main(['--log-format', 'json', 'speak'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stderr)["message"] == "a=1"
