"""How to reach an object store: what a user says of a bucket, or of a part of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cp_assets.errors import ConfigurationError
from cp_assets.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreOptions:
    """How a bucket is reached. Credentials are never part of it: the clients find them.

    Attributes
    ----------
    anonymous
        Whether requests are not signed, as public buckets want it.
    profile
        S3: a profile of the user's AWS configuration.
    region
        S3: the bucket's region.
    endpoint_url
        Another server of the same protocol, such as ``http://127.0.0.1:9000``.
    path_style
        S3: whether the bucket stands in the URL's path instead of its host; None to let the client
        choose.
    attempts
        Requests before a passing fault, such as throttling, is an error.
    timeout_seconds
        How long a connection, and each read from it, may take.
    """

    anonymous: bool = False
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    path_style: bool | None = None
    attempts: int = 8
    timeout_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.timeout_seconds <= 0:
            msg = (
                f"store options: attempts is {self.attempts}, timeout_seconds "
                f"{self.timeout_seconds:g}; expected 1 or more attempts and more than 0 seconds"
            )
            raise ConfigurationError(msg)
        if "@" in (self.endpoint_url or ""):
            # The URL is not repeated: what stands before the @ is a secret.
            msg = "store options: endpoint_url names a user: take all up to the @ out of it"
            raise ConfigurationError(msg)
        if self.endpoint_url is not None:
            check_endpoint(self.endpoint_url, "store options: endpoint_url")


def check_endpoint(url: str, said: str) -> None:
    """Hold a server's address to be a URL.

    Parameters
    ----------
    said
        What says so, as errors name it.

    Raises
    ------
    ConfigurationError
        If it is none.
    """
    if not re.match(r"https?://[^/\s]", url):
        msg = (
            f"{said} is {redacted(url)!r}; expected a URL that begins with https:// or http://, "
            "such as http://127.0.0.1:9000"
        )
        raise ConfigurationError(msg)


@dataclass(frozen=True)
class StoreSettings:
    """Options by the start of a URL, such as ``s3://bucket``; the longest that fits counts."""

    by_prefix: Mapping[str, StoreOptions] = field(default_factory=dict)

    def options_for(self, url: str) -> StoreOptions:
        """The options of the longest prefix that is the URL or a folder above it."""
        fitting = [
            prefix for prefix in self.by_prefix if f"{url}/".startswith(f"{prefix.rstrip('/')}/")
        ]
        return self.by_prefix[max(fitting, key=len)] if fitting else StoreOptions()
