"""Structured logs: what every line says of its dataset, batch, plate, asset and run.

Standard logging: the modules log as any library does, `log_fields` says whose lines they are, and
`set_up_logging` chooses text or JSON. Whatever is written goes through `redacted`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO, get_args

from cp_assets.errors import ConfigurationError
from cp_assets.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

from typing import Literal

LogFormat = Literal["text", "json"]

FIELDS = ("dataset", "batch", "plate", "asset", "run")
"""What `log_fields` knows, in the order in which lines show it."""

_CURRENT: ContextVar[Mapping[str, str] | None] = ContextVar("cp_assets_log_fields", default=None)


@contextmanager
def log_fields(**fields: str) -> Iterator[None]:
    """Give fields to every line that is logged inside, beside those given outside."""
    token = _CURRENT.set({**current_fields(), **fields})
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_fields() -> Mapping[str, str]:
    """The fields of a line that would be logged here."""
    return _CURRENT.get() or {}


def log_format(named: str | None = None) -> LogFormat:
    """The format that is named, else that of ``CP_ASSETS_LOG``, else text.

    Raises
    ------
    ConfigurationError
        If there is no such format.
    """
    chosen = named or os.environ.get("CP_ASSETS_LOG") or "text"
    if chosen not in get_args(LogFormat):
        msg = f"CP_ASSETS_LOG is {chosen!r}; expected {' or '.join(get_args(LogFormat))}"
        raise ConfigurationError(msg)
    return chosen  # type: ignore[return-value]  # one of the arguments, as was looked up


def set_up_logging(level: int, form: LogFormat, stream: TextIO | None = None) -> None:
    """Send the logs of this process to standard error, in one of the two formats."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time`` (UTC), ``level``, ``logger``, ``message``, and the fields.

    What is given to a logging call as ``extra={"figures": {...}}`` becomes keys of its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redacted(self.message_of(record)),
            **self.fields_of(record),
            **getattr(record, "figures", {}),
        }
        if record.exc_info:
            said["exception"] = redacted(self.formatException(record.exc_info))
        return json.dumps(said, ensure_ascii=False, default=str)

    def message_of(self, record: logging.LogRecord) -> str:
        """What was said."""
        return record.getMessage()

    def fields_of(self, record: logging.LogRecord) -> Mapping[str, str]:
        """Whose line it is."""
        return current_fields()


class TextFormatter(logging.Formatter):
    """The message alone, as it is for a person."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return redacted(super().format(record))
