"""Telling people of what failed: by a webhook, mail, or a function of the user's own.

Secrets come from environment variables at the moment of sending, and no message repeats them.
"""

from __future__ import annotations

import html
import json
import os
import pkgutil
import smtplib
import ssl
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from http.client import HTTPException
from typing import TYPE_CHECKING

from tenacity import stop_after_attempt

from cp_assets.errors import AlertError, ConfigurationError
from cp_assets.redaction import HIDDEN, redacted
from cp_assets.retries import retrying

if TYPE_CHECKING:
    from collections.abc import Callable

    from cp_assets.datasets.alert_options import AlertOptions, SmtpOptions

_TIMEOUT_SECONDS = 10.0
_ATTEMPTS = 3
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 1.0, 2.0

_MOST_LINES = 20

_PORTS = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True)
class Alert:
    """A run that failed, or a command some of whose plates did.

    Attributes
    ----------
    run
        None of a command.
    dataset, batch, plate
        Whose run it was; None where it was no plate's.
    failures
        Step -> what it said, in one line, without secrets; of a command plate -> why it failed.
    failed_in_backfill
        How many runs of the same backfill had failed by then, this one with them; 0 where the run
        was of no backfill.
    failed_plates, plates
        How many of a command's plates failed, which may be more than `failures` names; 0 of a run.
    link
        The run in Dagster's UI, if it is known where that is.
    """

    job: str
    run: str | None = None
    dataset: str | None = None
    batch: str | None = None
    plate: str | None = None
    failures: tuple[tuple[str, str], ...] = ()
    failed_in_backfill: int = 0
    failed_plates: int = 0
    plates: int = 0
    link: str | None = None

    @property
    def title(self) -> str:
        """What failed, in a line."""
        whose = "/".join(filter(None, (self.dataset, self.batch, self.plate)))
        if self.failed_plates:
            whose = f"{self.failed_plates:,} of {self.plates:,} plates"
        return f"cp_assets: {self.job} failed{f' for {whose}' if whose else ''}"

    @property
    def text(self) -> str:
        """What failed and why, for a person."""
        lines = [self.title, *(f"{name}: {said}" for name, said in self.failures[:_MOST_LINES])]
        more = max(self.failed_plates, len(self.failures)) - _MOST_LINES
        if more > 0:
            lines.append(f"and {more:,} more")
        if self.failed_in_backfill > 1:
            lines.append(f"{self.failed_in_backfill} runs of this backfill have failed by now")
        if self.link or self.run:
            lines.append(self.link or f"run {self.run}")
        return "\n".join(lines)


def send_alert(alert: Alert, options: AlertOptions) -> None:
    """Tell everybody who is configured; one who cannot be told does not keep it from the others.

    Raises
    ------
    AlertError
        If somebody could not be told; names each, and no secret.
    """
    ways: list[tuple[str, Callable[[], None]]] = []
    if options.webhook_url_env:
        variable = options.webhook_url_env
        ways.append((f"webhook of {variable}", lambda: _post(alert, variable)))
    if options.smtp:
        smtp = options.smtp
        ways.append((f"mail by {smtp.host}", lambda: _mail(alert, smtp)))
    if options.hook:
        hook = options.hook
        ways.append((f"hook {hook}", lambda: _call(alert, hook)))
    faults = [fault for name, send in ways if (fault := _tried(name, send))]
    if faults:
        msg = f"{alert.title}, and not everybody was told: {'; '.join(faults)}"
        raise AlertError(msg)


def _tried(name: str, send: Callable[[], None]) -> str | None:
    """Send, some times where the other end does not take it; what was wrong, or None."""
    patient = retrying(
        lambda error: isinstance(error, OSError | smtplib.SMTPException),
        stop_after_attempt(_ATTEMPTS),
        first_wait=_FIRST_WAIT_SECONDS,
        longest_wait=_LONGEST_WAIT_SECONDS,
    )
    try:
        patient(send)
    except Exception as error:  # noqa: BLE001 - a hook is anybody's code
        return f"{name}: {type(error).__name__}: {redacted(str(error))}"
    return None


def _secret(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        msg = f"environment variable {variable}, which alerts of cp_assets.yaml names, is not set"
        raise ConfigurationError(msg)
    return value


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses to be sent elsewhere: the URL is a secret between two."""

    def redirect_request(self, *_: object) -> None:
        return None


def _post(alert: Alert, variable: str) -> None:
    """POST ``{"text": ..., "alert": {...}}``: what Slack and its kin show, and all for programs."""
    url = _secret(variable)
    if not url.startswith(("https://", "http://")):
        msg = f"environment variable {variable} holds no URL that begins with https:// or http://"
        raise ConfigurationError(msg)
    # Slack reads & < > as marks of its own.
    text = html.escape(alert.text, quote=False)
    body = {"text": text, "alert": {**asdict(alert), "failures": dict(alert.failures)}}
    request = urllib.request.Request(  # noqa: S310 - http or https, as was looked up
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=_TIMEOUT_SECONDS):
            return
    except urllib.error.HTTPError as error:
        # Its text could be the server's own, and that could repeat the URL.
        error.close()
        msg = f"the server answered {error.code}"
        raise ConnectionError(msg) from None
    except urllib.error.URLError as error:
        raise ConnectionError(str(error.reason).replace(url, HIDDEN)) from None
    except (HTTPException, ValueError):
        msg = f"environment variable {variable} holds no valid URL"
        raise ConfigurationError(msg) from None


def _mail(alert: Alert, options: SmtpOptions) -> None:
    message = EmailMessage()
    message["Subject"] = alert.title
    message["From"] = options.sender
    message["To"] = ", ".join(options.recipients)
    message.set_content(alert.text)
    address = (options.host, options.port or _PORTS[options.security])
    tls = ssl.create_default_context()
    server = (
        smtplib.SMTP_SSL(*address, timeout=_TIMEOUT_SECONDS, context=tls)
        if options.security == "tls"
        else smtplib.SMTP(*address, timeout=_TIMEOUT_SECONDS)
    )
    try:
        with server:
            if options.security == "starttls":
                server.starttls(context=tls)
            if options.user_env and options.password_env:
                server.login(_secret(options.user_env), _secret(options.password_env))
            server.send_message(message)
    except smtplib.SMTPResponseException as error:
        # The server's own words could repeat what it was told.
        kind = "the login" if isinstance(error, smtplib.SMTPAuthenticationError) else "the mail"
        msg = f"the server refused {kind} with {error.smtp_code}"
        raise ConnectionError(msg) from None


def _call(alert: Alert, hook: str) -> None:
    pkgutil.resolve_name(hook)(alert)
