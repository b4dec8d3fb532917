"""The prefix map: where the user says that a recorded folder lies now."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cp_assets.datasets.walking import leads_out
from cp_assets.images import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cp_assets.datasets.model import ImageOptions


@dataclass(frozen=True, slots=True)
class MappedPath:
    """Where a recorded path would lie: below the folder ``target``, at ``relative`` with ``/``."""

    target: Path
    relative: str
    path: Path

    def is_file(self) -> bool:
        """Whether the file is there, or the folder of an OME-Zarr; too long a name is not."""
        try:
            return self.path.is_file() or (
                self.path.suffix.lower() == ".zarr" and self.path.is_dir()
            )
        except OSError:
            return False


@dataclass(frozen=True)
class PrefixMap:
    """Recorded prefixes and their folders, the longest prefix first.

    Attributes
    ----------
    follow_links
        Whether links that lead out of a mapped folder are followed.
    """

    pairs: tuple[tuple[str, Path], ...]
    follow_links: bool
    _folders: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, options: ImageOptions) -> PrefixMap:
        """The map of a dataset."""
        given = sorted(options.path_prefix_map.items(), key=lambda pair: (-len(pair[0]), pair[0]))
        pairs = tuple(
            (recorded.normalise(prefix).rstrip("/"), Path(target)) for prefix, target in given
        )
        return cls(pairs, options.follow_links)

    @property
    def names(self) -> tuple[str, ...]:
        """The recorded prefixes."""
        return tuple(prefix for prefix, _ in self.pairs)

    def places(self, form: str) -> Iterator[MappedPath]:
        """List where a recorded path may lie now, most trusted first; none need exist."""
        for prefix, target in self.pairs:
            if form.startswith(f"{prefix}/"):
                # Leading slashes would make the rest absolute, and `/` would drop the target.
                rest = form[len(prefix) :].lstrip("/")
                for spelling in recorded.spellings(rest):
                    yield MappedPath(target, spelling, target / spelling)

    def leads_out(self, mapped: MappedPath) -> str | None:
        """Where a file really lies if that is outside of its mapped folder, else None."""
        if self.follow_links:
            return None
        folder = self._real(str(mapped.path.parent))
        return leads_out(self._real(str(mapped.target)), f"{folder}/{mapped.path.name}")

    def _real(self, folder: str) -> str:
        """Real path of a folder, found once: a plate has many files in few of them."""
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return self._folders[folder]
