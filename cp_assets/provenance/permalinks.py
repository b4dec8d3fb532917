"""Permalinks: where the code and the configuration that made a table can be found for ever.

From the dataset's configuration; else from the git commit of this code and of the configuration
file: a link to the hosting site where the remote tells one, else a Software Heritage identifier
(``swh:1:rev:<commit>``). Without git, the released package (a package URL) and the digest of the
configuration.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from cp_assets.datasets.model import Dataset

_HERE = Path(__file__).resolve().parent


def recipe_permalink(dataset: Dataset) -> str:
    """Where the code that made a table can be found."""
    if dataset.recipe_permalink:
        return dataset.recipe_permalink
    return code_permalink()


@cache
def code_permalink() -> str:
    """Of this code; kept, since the code that runs is the one that was loaded."""
    return _commit_link(_HERE, "tree", "") or f"pkg:pypi/cp-assets@{_version()}"


def config_permalink(dataset: Dataset, config_file: Path | None) -> str:
    """Where the configuration that a table was made with can be found.

    Parameters
    ----------
    config_file
        ``cp_assets.yaml``, or None if the options came from a call.
    """
    if dataset.config_permalink:
        return dataset.config_permalink
    if config_file is not None and (link := _file_link(config_file.resolve())):
        return link
    text = json.dumps(dataset, sort_keys=True, default=_plain)
    return f"urn:sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _plain(value: object) -> object:
    """A place as its text, whatever is known of it; other values by their fields."""
    if is_dataclass(value) and not isinstance(value, ObjectPath):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    return str(value)


def _file_link(file: Path) -> str | None:
    top = _git(file.parent, "rev-parse", "--show-toplevel")
    if top is None or _git(file.parent, "ls-files", "--error-unmatch", file.name) is None:
        return None
    return _commit_link(file.parent, "blob", f"/{quote(file.relative_to(top).as_posix())}")


def _commit_link(folder: Path, kind: str, path: str) -> str | None:
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None or _git(folder, "ls-files", "--error-unmatch", ".") is None:
        return None
    # A changed work tree is not what the commit says: the link tells.
    changed = (
        "#modified" if _git(folder, "status", "--porcelain", "--untracked-files=no", ".") else ""
    )
    remote = _git(folder, "config", "--get", "remote.origin.url") or ""
    hosted = re.fullmatch(
        r"(?:https://|git@)(github\.com|gitlab\.com)[/:](.+?)(?:\.git)?/?", remote
    )
    if hosted:
        return f"https://{hosted[1]}/{hosted[2]}/{kind}/{commit}{path}{changed}"
    return f"swh:1:rev:{commit}{';path=' + path if path else ''}{changed}"


def _git(folder: Path, *words: str) -> str | None:
    """What git says, or None if it knows nothing (no git, no repository, no commit)."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, no shell
            ["git", "-C", str(folder), *words],  # noqa: S607 - git is found on the path
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version() -> str:
    try:
        return version("cp-assets")
    except PackageNotFoundError:
        return "0"
