"""What a recorded path may mean: its forms, its tails, and whether it is safe to follow.

A pipeline ran on another machine, so a recorded path is a hint. It is also foreign input: it must
never lead out of the folders that the user named.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cp_assets.images.image_sets import ChannelFile

_DRIVE = re.compile(r"[A-Za-z]:/")
_CONTROL = re.compile(r"[\x00-\x1f]")
_OME = re.compile(r"(?<=.)\.ome$", re.IGNORECASE)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def normalise(path: str) -> str:
    r"""Write a path or URL with single ``/``; ``file:`` is dropped, other schemes stay.

    >>> normalise("file:///data/a b.tif"), normalise("C:\\images\\a.tif")
    ('/data/a b.tif', 'C:/images/a.tif')
    """
    text = path.replace("\\", "/")
    if text.lower().startswith("file:"):
        text = re.sub("/{2,}", "/", text[5:])
        return text[1:] if _DRIVE.match(text, 1) else text
    if "//" not in text:
        return text
    scheme = _SCHEME.match(text)
    start = scheme.end() if scheme else 0
    return text[:start] + re.sub("/{2,}", "/", text[start:])


@lru_cache(maxsize=4096)
def forms(file: ChannelFile) -> tuple[str, ...]:
    """List the normalised paths that a record may mean, most trusted first.

    Path with file name, then the URL decoded, then the URL as it stands (some writers do not
    encode), then the file name alone.
    """
    found: list[str] = []
    if file.path_name:
        found.append(normalise(f"{file.path_name}/{file.file_name}"))
    if file.url:
        found += [normalise(unquote(file.url)), normalise(file.url)]
    found.append(normalise(file.file_name))
    return tuple(dict.fromkeys(found))


def danger(file: ChannelFile) -> str | None:
    """Why a record must not be followed, or None if it may be."""
    name = normalise(file.file_name)
    if name.startswith("/") or _DRIVE.match(name) or _SCHEME.match(name):
        return f"the file name {file.file_name!r} is an absolute path; a plain name is expected"
    for form in forms(file):
        if ".." in form.split("/"):
            return f"the recorded path {form!r} has a component '..'"
        if _CONTROL.search(form):
            return f"the recorded path {form!r} has a control character"
    return None


def tails(form: str) -> Iterator[str]:
    """List the path's ends, longest first: ``a/b/c.tif``, ``b/c.tif``, ``c.tif``."""
    parts = [part for part in form.split("/") if part not in {"", "."}]
    for start in range(len(parts)):
        yield "/".join(parts[start:])


def base_name(path: str) -> str:
    """Last component of a normalised path."""
    return path.rsplit("/", 1)[-1]


def composed(path: str) -> str:
    """Write a path in Unicode's composed form (NFC), in which names are compared."""
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def spellings(path: str) -> tuple[str, ...]:
    """List a path as it stands, composed (NFC) and decomposed (NFD, as macOS writes names)."""
    if path.isascii():
        return (path,)
    return tuple(dict.fromkeys((path, composed(path), unicodedata.normalize("NFD", path))))


def bare(path: str) -> str:
    """Strip the ending of a path: ``A01/s1`` of ``A01/s1.ome.tif``."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{stem(name)}"


def ending(path: str) -> str:
    """The ending of a path, with its dot: ``.ome.tif`` is one."""
    return path[len(bare(path)) :]


def stem(path: str) -> str:
    """Strip the folder and the ending of a path; ``.ome.tif`` is one ending."""
    name = base_name(path)
    head, dot, _ = name.rpartition(".")
    head = head if dot and head else name
    return _OME.sub("", head)
