"""What an HTTP answer that is no success means; the same for every store."""

from __future__ import annotations

from dataclasses import dataclass

from cp_assets.errors import InputChangedError, StoreError, StoreUnavailableError

_NOT_FOUND = 404
_OF_OTHER_VERSION = 412
_BEYOND_END = 416
_DENIED = frozenset({401, 403})
_PASSING = frozenset({408, 429, 500, 502, 503, 504})

_NO_BUCKET_CODES = frozenset({"ContainerNotFound", "NoSuchBucket"})
_DENIED_CODES = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired"})
_PASSING_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "InternalError",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
    }
)


class NothingThereError(Exception):
    """No byte of an object lies in a range; never leaves the stores."""


@dataclass(frozen=True)
class Advice:
    """What a user of a store can do.

    Attributes
    ----------
    address
        If the bucket is not found.
    credentials
        If the store does not know the user, or lets the user not in.
    """

    address: str
    credentials: str


def refusal(url: str, status: int, code: str, advice: Advice) -> Exception:
    """The error of an answer.

    Parameters
    ----------
    status, code
        Of HTTP, and the store's own word for it, which may be empty.
    """
    answer = f"{status} {code}".strip()
    if code in _NO_BUCKET_CODES:
        error: Exception = StoreError(f"{url}: there is no such bucket: {advice.address}")
    elif status == _NOT_FOUND:
        error = FileNotFoundError(f"{url}: there is no such object")
    elif status == _OF_OTHER_VERSION:
        error = changed(url)
    elif status == _BEYOND_END:
        error = NothingThereError(url)
    elif status in _PASSING or code in _PASSING_CODES:
        error = StoreUnavailableError(f"{url}: the store is not available ({answer})")
    elif status in _DENIED or code in _DENIED_CODES:
        error = StoreError(f"{url}: access denied ({answer}): {advice.credentials}")
    else:
        hint = f"{advice.address}; or {advice.credentials}"
        error = StoreError(f"{url}: the store refuses ({answer}): {hint}")
    return error


def changed(url: str) -> InputChangedError:
    """The error of an object that is not the version that was asked for."""
    return InputChangedError(f"{url}: changed since it was listed or first read: run again")
