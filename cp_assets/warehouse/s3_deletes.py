"""Deleting an object of S3, and nothing else.

pyarrow puts an empty object in the folder's place whenever it deletes a file: on S3 that is one
that nobody asked for, and servers that keep objects as files lose sight of the folder.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.utils.properties import get_first_property_value, property_as_bool

if TYPE_CHECKING:
    from pyiceberg.typedef import Properties

_ATTEMPTS = 8


def can_delete(properties: Properties) -> bool:
    """Whether boto3 is told all that pyarrow is told of the way to S3."""
    further = ("role-arn", "role-session-name", "proxy-uri")
    return not any(name.partition(".")[2] in further for name in properties)


def delete_object(properties: tuple[tuple[str, str], ...], bucket: str, key: str) -> None:
    """Delete an object; one that is not there is no error, as S3 has it.

    Parameters
    ----------
    properties
        Of PyIceberg's S3 access.

    Raises
    ------
    OSError
        If S3 refuses or does not answer.
    """
    try:
        _client(os.getpid(), properties).delete_object(Bucket=bucket, Key=key)
    except (BotoCoreError, ClientError) as error:
        msg = f"s3://{bucket}/{key} cannot be deleted: {error}"
        raise OSError(msg) from None


# By process: one that was forked must not talk over the connections of its parent.
@lru_cache(maxsize=16)
def _client(process: int, properties: tuple[tuple[str, str], ...]) -> Any:
    # Imported here: most tables are local files, and boto3 takes long to import.
    import boto3  # noqa: PLC0415
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    known = dict(properties)
    virtual = property_as_bool(known, "s3.force-virtual-addressing", False)
    config = Config(
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        s3={
            "addressing_style": "virtual"
            if virtual
            else "path"
            if "s3.endpoint" in known
            else "auto"
        },
        **(
            {"signature_version": UNSIGNED}
            if property_as_bool(known, "s3.anonymous", False)
            else {}
        ),
    )
    return boto3.client(
        "s3",
        endpoint_url=known.get("s3.endpoint"),
        aws_access_key_id=_of(known, "access-key-id"),
        aws_secret_access_key=_of(known, "secret-access-key"),
        aws_session_token=_of(known, "session-token"),
        region_name=_of(known, "region"),
        config=config,
    )


def _of(known: Properties, name: str) -> str | None:
    return get_first_property_value(known, f"s3.{name}", f"client.{name}")
