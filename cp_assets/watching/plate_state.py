"""The state of a plate's files: how many, how large, how new, and a digest of each one's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.datasets.fingerprints import digest
from cp_assets.datasets.plate_files import FILE_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cp_assets.datasets.plate_files import FileKind, InputFile


@dataclass(frozen=True, slots=True)
class FilesState:
    """The state of a plate's files of one kind.

    Attributes
    ----------
    files, bytes
        How many they are, and their size together.
    newest
        Time of the newest change, seconds since 1970; 0 without files.
    digest
        Of name and state (size, ETag or time of change) of each.
    """

    files: int
    bytes: int
    newest: float
    digest: str


@dataclass(frozen=True, slots=True)
class PlateState:
    """The state of a plate's files, by their kind."""

    by_kind: Mapping[FileKind, FilesState]

    @property
    def versions(self) -> dict[FileKind, str]:
        """The digest of each kind of files."""
        return {kind: state.digest for kind, state in self.by_kind.items()}

    @property
    def digest(self) -> str:
        """Of all files, in 16 letters."""
        return digest(sorted(self.versions.items()))[:16]

    @property
    def newest(self) -> float:
        """Time of the newest change, seconds since 1970; 0 without files."""
        return max((state.newest for state in self.by_kind.values()), default=0.0)

    @property
    def files(self) -> int:
        """How many files there are."""
        return sum(state.files for state in self.by_kind.values())

    @property
    def bytes(self) -> int:
        """Their size together."""
        return sum(state.bytes for state in self.by_kind.values())


def plate_state(files: Iterable[InputFile]) -> PlateState:
    """The state of a plate with these files; kinds without files have a state too."""
    by_kind: dict[FileKind, list[InputFile]] = {kind: [] for kind in FILE_KINDS}
    for file in files:
        by_kind[file.kind].append(file)
    return PlateState({kind: _state(listed) for kind, listed in by_kind.items()})


def _state(files: list[InputFile]) -> FilesState:
    return FilesState(
        files=len(files),
        bytes=sum(file.bytes for file in files),
        newest=max((file.changed_ns for file in files), default=0) / 1e9,
        # In the order of their names: a listing's own order differs between stores.
        digest=digest(sorted((file.name, *map(str, file.state)) for file in files)),
    )
