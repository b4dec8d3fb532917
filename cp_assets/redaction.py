"""Texts for people to read, without the secrets that URLs and settings hold."""

from __future__ import annotations

import re

HIDDEN = "***"

_SCHEME = r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)"
_USER = re.compile(rf"{_SCHEME}[^\s/?#]*@", re.IGNORECASE)
# A password with a slash is no URL, yet SQLAlchemy takes it; after a host comes a port.
_PASSWORD = re.compile(rf"{_SCHEME}[^\s/:@]+:(?!\d+/)[^\s@]*@", re.IGNORECASE)
_NAMED = re.compile(
    r"""(?P<name>\b[\w.-]*(?:signature|password|passwd|secret|token|credential|api[_-]?key
        |access[_-]?key(?:[_-]?id)?|account[_-]?key|\bsig)["']?\s*[=:]\s*["']?)
        (?:(?:bearer|basic)\s+)?[^\s"'&;,)}\]]+""",
    re.IGNORECASE | re.VERBOSE,
)
"""Settings that say so by their name: ``X-Amz-Signature=...``, ``password=...``, also in a dict."""

_HEADER = re.compile(r"(?P<kind>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}", re.IGNORECASE)


def redacted(text: str) -> str:
    """The text with ``***`` in place of users and passwords, signatures, keys and tokens.

    Errors of libraries repeat the URLs and settings that they were given: what is shown or kept of
    texts that are not ours goes through here.
    """
    for pattern in (_PASSWORD, _USER):
        text = pattern.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _NAMED.sub(rf"\g<name>{HIDDEN}", text)
    return _HEADER.sub(rf"\g<kind>{HIDDEN}", text)


def redact_error(error: BaseException) -> None:
    """Take secrets out of an error's texts, and of those that led to it: Dagster keeps them all."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        texts = (redacted(one) if isinstance(one, str) else one for one in following.args)
        following.args = tuple(texts)
        following = following.__cause__ or following.__context__
