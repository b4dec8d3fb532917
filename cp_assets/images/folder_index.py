"""An index of the image files below a folder, built once and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.datasets.walking import Entry, walk
from cp_assets.errors import ConfigurationError
from cp_assets.images import recorded
from cp_assets.images.image_sets import IMAGE_SUFFIXES
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from cp_assets.stores import Place

_Names = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class FolderIndex:
    """Image files below a folder, by relative path, base name and stem.

    Names are compared in Unicode's composed form (NFC): macOS writes ``é`` as two letters.

    Attributes
    ----------
    files
        Relative paths with ``/``, sorted, spelt as on disk. Links that lead out are among them.
    refused
        Relative path of a link to a file that leads out of the folder -> where it leads.
    refused_folders
        The same of links to folders; what lies behind them is not in `files`.
    objects
        In a store, relative path -> the object as it was listed: to open it takes no request more.
    """

    root: Place
    files: tuple[str, ...]
    refused: Mapping[str, str]
    refused_folders: Mapping[str, str]
    objects: Mapping[str, ObjectPath]
    known: Mapping[str, str]
    by_name: _Names
    by_stem: _Names
    by_bare_path: _Names

    @classmethod
    def scan(cls, root: Place, *, follow_links: bool = False) -> FolderIndex:
        """Walk a folder.

        Parameters
        ----------
        follow_links
            Whether links that lead out of the folder are followed; else they are refused.

        Raises
        ------
        ConfigurationError
            If the folder is not there or cannot be listed.
        """
        entries = list(walk(root, follow_links=follow_links, is_leaf=_is_image))
        if not entries and isinstance(root, ObjectPath):
            msg = (
                f"folder {root}: no object lies below it; check image_dir, mask_dir and outline_dir"
            )
            raise ConfigurationError(msg)
        return cls.of(root, entries)

    @classmethod
    def of(cls, root: Place, entries: Iterable[Entry]) -> FolderIndex:
        """Index what was found below a folder."""
        entries = tuple(entries)
        files = tuple(sorted(entry.relative for entry in entries if _is_image(entry.relative)))
        composed = {file: recorded.composed(file) for file in files}
        return cls(
            root=root,
            files=files,
            refused=dict(_refused(entries, folders=False)),
            refused_folders=dict(_refused(entries, folders=True)),
            objects=dict(_objects(root, entries)) if isinstance(root, ObjectPath) else {},
            # A name as it stands on disk goes before one that only means the same.
            known={name: file for file, name in composed.items()} | {file: file for file in files},
            by_name=_grouped((recorded.base_name(name), file) for file, name in composed.items()),
            by_stem=_grouped((recorded.stem(name), file) for file, name in composed.items()),
            by_bare_path=_grouped((recorded.bare(name), file) for file, name in composed.items()),
        )

    def tail_of(self, form: str) -> str | None:
        """Find the longest end of a recorded path that is a relative path of this folder."""
        return next(filter(None, map(self._file, recorded.tails(form))), None)

    def of_name(self, form: str) -> tuple[str, ...]:
        """Files that have the base name of a recorded path."""
        return self.by_name.get(recorded.base_name(recorded.composed(form)), ())

    def of_stem(self, form: str) -> tuple[str, ...]:
        """Files that fit but for the ending: by the longest tail, else by the name alone."""
        path = recorded.bare(recorded.composed(form))
        tails = (self.by_bare_path.get(tail, ()) for tail in recorded.tails(path))
        return next(filter(None, tails), ()) or self.by_stem.get(recorded.base_name(path), ())

    def named_like(self, form: str) -> tuple[str, ...]:
        """Files that fit a path: by its longest tail, with or without its ending, else by name.

        An overlay that mirrors the image's place (``A01/s1.png`` of ``A01/s1.tif``) goes before one
        of the same name elsewhere.
        """
        for tail in recorded.tails(recorded.composed(form)):
            found = self._file(tail)
            mirrored = (found,) if found else self.by_bare_path.get(recorded.bare(tail), ())
            if mirrored:
                return mirrored
        return self.of_name(form) or self.of_stem(form)

    def refused_link(self, form: str) -> tuple[str, str] | None:
        """Find the refused folder that a recorded path leads through: the link and its target.

        None where a longer end of the path is a file of this folder.
        """
        if not self.refused_folders:
            return None
        for tail in recorded.tails(form):
            if self._file(tail):
                return None
            parts = tail.split("/")
            for end in range(1, len(parts)):
                link = "/".join(parts[:end])
                if link in self.refused_folders:
                    return link, self.refused_folders[link]
        return None

    def path(self, relative: str) -> Place:
        """Full path of one of `files`."""
        return self.objects.get(relative) or self.root / relative

    def beside(self, path: ObjectPath, name: str) -> ObjectPath | None:
        """The object of a name in the folder of one of the files; None if there is none."""
        relative = path.with_name(name).key[len(self._start) :]
        return self.objects.get(relative)

    @property
    def _start(self) -> str:
        """What the keys of all files begin with."""
        key = self.root.key if isinstance(self.root, ObjectPath) else ""
        return f"{key}/" if key else ""

    def _file(self, tail: str) -> str | None:
        return self.known.get(tail) or self.known.get(recorded.composed(tail))


def _is_image(name: str) -> bool:
    """Whether a file, or a folder such as an OME-Zarr, has the ending of an image."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def _objects(root: ObjectPath, entries: Iterable[Entry]) -> Iterator[tuple[str, ObjectPath]]:
    for entry in entries:
        if _is_image(entry.relative):
            folder = (root / entry.relative).known_as("folder")
            yield entry.relative, entry.found or folder


def _refused(entries: Iterable[Entry], *, folders: bool) -> Iterator[tuple[str, str]]:
    """Refused links; a link to an OME-Zarr counts as one to a file."""
    for entry in entries:
        is_image = _is_image(entry.relative)
        if entry.leads_out and (is_image if not folders else entry.is_folder and not is_image):
            yield entry.relative, entry.leads_out


def _grouped(names: Iterable[tuple[str, str]]) -> _Names:
    grouped: dict[str, list[str]] = {}
    for name, file in names:
        grouped.setdefault(name, []).append(file)
    return {name: tuple(files) for name, files in grouped.items()}
