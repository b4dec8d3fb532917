"""Which errors of catalog and storage pass by themselves."""

from __future__ import annotations

import re
import sqlite3

from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    ServerError,
    ServiceUnavailableError,
    TooManyRequestsError,
    WaitingForLockException,
)
from requests.exceptions import ConnectionError as RequestConnectionError
from requests.exceptions import Timeout
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_PASSING = (
    # Of this machine or the network between.
    ConnectionError,
    TimeoutError,
    # Of a catalog behind HTTP.
    RequestConnectionError,
    Timeout,
    # Of a catalog: others were faster, or it could not say whether it took a commit.
    CommitFailedException,
    CommitStateUnknownException,
    WaitingForLockException,
    ServerError,
    ServiceUnavailableError,
    TooManyRequestsError,
)

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_STORE_IS_BUSY = re.compile(
    r"AWS Error (?:SLOW_DOWN|THROTTLING|REQUEST_TIMEOUT|NETWORK_CONNECTION|SERVICE_UNAVAILABLE"
    r"|INTERNAL_FAILURE)|HTTP status 5\d\d|curlCode"
)
"""What Arrow's file systems say of a throttled or broken request: text in a plain OSError."""


_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|invalid port number"
    r"|(?:role|database) \".*\" does not exist|Name or service not known"
)
"""What PostgreSQL says of a connection that it will not take later either."""


def passes(error: BaseException) -> bool:
    """Whether the same call may succeed after a while.

    Parameters
    ----------
    error
        As SQLAlchemy, PyIceberg, Arrow or the operating system raised it.
    """
    if isinstance(error, PoolTimeoutError):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _database_is_away(error)
    if isinstance(error, _PASSING):
        return True
    return isinstance(error, OSError) and _STORE_IS_BUSY.search(str(error)) is not None


def _database_is_away(error: DBAPIError) -> bool:
    """Whether a database does not answer now; SQLite says with the same class that a disk is full.

    Only the low byte of SQLite's code says what happened; the rest says where.
    """
    if isinstance(error.orig, sqlite3.Error):
        return error.orig.sqlite_errorcode & 0xFF in _BUSY
    if _REFUSED.search(str(error.orig)):
        return False
    return isinstance(error, OperationalError | InterfaceError)
