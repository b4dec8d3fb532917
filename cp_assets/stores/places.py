"""Places: local paths and paths in object stores."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from cp_assets.errors import ConfigurationError
from cp_assets.stores.connections import SCHEMES
from cp_assets.stores.object_path import ObjectPath
from cp_assets.stores.options import StoreSettings

Place: TypeAlias = Path | ObjectPath
"""Where something lies."""

State: TypeAlias = tuple[int, int | str]
"""Size in bytes, and time of change in nanoseconds; in an object store, its ETag."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def place(text: str | Place, settings: StoreSettings | None = None) -> Place:
    """The place that a text names: a URL of an object store, ``file://``, or a local path.

    Raises
    ------
    ConfigurationError
        If it is empty, or a URL of another kind or without a bucket.
    """
    if not isinstance(text, str):
        return text
    if not text:
        msg = "the path is empty; expected a file, a folder or a URL ('.' is the current folder)"
        raise ConfigurationError(msg)
    found = _URL.match(text)
    if found is None:
        return Path(text)
    if found[1].lower() == "file":
        return Path(unquote(urlsplit(text).path))
    scheme, below = found[1].lower(), text[found.end() :]
    if scheme not in SCHEMES or not below or below.startswith("/"):
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        msg = f"{text}: expected a folder, or a URL of a bucket that begins with {known}"
        raise ConfigurationError(msg)
    url = f"{scheme}://{below}"
    return ObjectPath.parse(url, (settings or StoreSettings()).options_for(url))


def state_of(path: Place) -> State:
    """What tells that a file is still the same.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    status = path.stat()
    return status.st_size, getattr(status, "etag", None) or status.st_mtime_ns
