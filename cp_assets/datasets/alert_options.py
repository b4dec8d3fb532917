"""``alerts`` of ``cp_assets.yaml``: who is told of a run that failed."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        msg = "expected the name of an environment variable that holds the secret, not the secret"
        raise ValueError(msg)
    return name


Variable = Annotated[str, AfterValidator(_variable)]
"""Name of an environment variable that holds a secret; the secret itself is never configured."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SmtpOptions(_Strict):
    """A mail server, and who writes to whom.

    Attributes
    ----------
    security
        ``starttls`` (encrypted after the greeting, port 587), ``tls`` (from the start, port 465),
        or ``none`` (for a server on the same machine, port 25).
    port
        None for the usual one.
    user_env, password_env
        Environment variables with the credentials; None where the server asks for none.
    """

    host: str
    port: int | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: str = Field(alias="from")
    recipients: tuple[str, ...] = Field(alias="to", min_length=1)
    user_env: Variable | None = None
    password_env: Variable | None = None


class AlertOptions(_Strict):
    """Who is told of a run that failed; nobody by default.

    Attributes
    ----------
    webhook_url_env
        Environment variable with a URL that takes JSON, such as Slack's incoming webhooks.
    hook
        ``package.module:function``, called with a `cp_assets.alerts.Alert`.
    ui_url
        Where people see Dagster, for the link to the run.
    """

    webhook_url_env: Variable | None = None
    smtp: SmtpOptions | None = None
    hook: str | None = None
    ui_url: str | None = None

    def __bool__(self) -> bool:
        """Whether anybody is told."""
        return any((self.webhook_url_env, self.smtp, self.hook))
