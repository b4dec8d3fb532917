"""What a catalog is opened with: what the user configured, and defaults for the rest."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pyarrow.fs import AwsStandardS3RetryStrategy

from cp_assets.warehouse.file_io import SharedFileIO

if TYPE_CHECKING:
    from collections.abc import Mapping

_S3_ATTEMPTS = 8
_LOCK_SECONDS = 60

_FROM_ENVIRONMENT = {
    # PyIceberg asks AWS for the region of every bucket that it is not told of.
    "s3.region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "s3.endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
}


class PatientS3(AwsStandardS3RetryStrategy):  # type: ignore[misc] # pyarrow has no types
    """More attempts than pyarrow's three where S3 throttles, breaks off or does not answer."""

    def __init__(self) -> None:
        super().__init__(max_attempts=_S3_ATTEMPTS)


def catalog_properties(configured: Mapping[str, Any]) -> dict[str, str]:
    """A catalog's properties.

    Parameters
    ----------
    configured
        As PyIceberg's configuration has them; what is there is never changed.
    """
    properties = {
        "py-io-impl": f"{SharedFileIO.__module__}.{SharedFileIO.__name__}",
        "s3.retry-strategy-impl": f"{__name__}.{PatientS3.__name__}",
        # A connection of a database that has been restarted is replaced.
        "pool_pre_ping": "true",
        **_s3_of_environment(configured),
        **{name: str(value) for name, value in configured.items()},
    }
    if is_sql(properties) and properties["uri"].startswith("sqlite"):
        properties["uri"] = _waiting(properties["uri"])
    return properties


def is_sql(properties: Mapping[str, str]) -> bool:
    """Whether this is PyIceberg's SQL catalog."""
    if "py-catalog-impl" in properties or "uri" not in properties:
        return False
    by_uri = properties["uri"].startswith(("sqlite", "postgresql"))
    return properties.get("type", "sql" if by_uri else "").lower() == "sql"


def _s3_of_environment(configured: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for name, variables in _FROM_ENVIRONMENT.items():
        values = [os.environ[variable] for variable in variables if os.environ.get(variable)]
        if values and name not in configured:
            found[name] = values[0]
    return found


def _waiting(uri: str) -> str:
    """The URI of an SQLite file, with which a writer waits for another's lock."""
    if "timeout=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}timeout={_LOCK_SECONDS}"
