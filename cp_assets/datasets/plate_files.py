"""Which files are a plate's inputs, by listing alone: no file of measurements is opened.

For a sensor, which looks at plates again and again and while they are being uploaded. What is
listed is what the plate's tables are built from, or more: a file too many costs one run that finds
nothing changed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

from cp_assets.datasets.fingerprints import write_ahead_log
from cp_assets.datasets.identity import PlateKey
from cp_assets.datasets.layouts import (
    LOAD_DATA,
    WORKSPACE,
    find_plates,
    gallery_plate_names,
    is_full_name,
    workspace_kinds,
)
from cp_assets.datasets.listing import lies_below, relative_path, subfolders
from cp_assets.datasets.metadata_files import annotation_files
from cp_assets.datasets.model import PlateSources
from cp_assets.datasets.walking import walk_each
from cp_assets.errors import CpAssetsError, PassingFaultError, PlateNotFoundError, StoreError
from cp_assets.stores import ObjectPath, state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cp_assets.datasets.model import Dataset
    from cp_assets.stores import Place

FileKind = Literal["measurement_files", "image_files", "annotation_files"]
"""What a file is to a plate: what was measured (with LoadData), images with masks and outlines, or
what annotates its wells."""

FILE_KINDS: tuple[FileKind, ...] = get_args(FileKind)

_OVERLAYS = frozenset(("masks", "outlines"))


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of a plate.

    Attributes
    ----------
    name
        Tells it from the plate's other files of its kind.
    state
        What changes when its content does, as `state_of`; of a refused link, its target.
    bytes
        Its size.
    changed_ns
        Time of its last change, nanoseconds since 1970; 0 where it has none.
    """

    kind: FileKind
    name: str
    state: tuple[object, ...]
    bytes: int = 0
    changed_ns: int = 0


class DatasetFiles(ABC):
    """The plates of a dataset as they lie there now.

    Listings of folders that plates share are kept: make it anew to look again.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    @abstractmethod
    def keys(self) -> tuple[PlateKey, ...]:
        """The plates that are there, sorted; the gallery's also if nothing of them can be read."""

    def __contains__(self, key: PlateKey) -> bool:
        return key in self._there

    @cached_property
    def _there(self) -> frozenset[PlateKey]:
        return frozenset(self.keys())

    @abstractmethod
    def _own_files(self, key: PlateKey) -> Iterator[InputFile]:
        """Measurements and images."""

    def files(self, key: PlateKey) -> Iterator[InputFile]:
        """Every input file of a plate, one at a time.

        Raises
        ------
        ConfigurationError
            If a folder cannot be listed.
        OSError
            If a file goes away at that moment, or the store does not answer.
        """
        yield from self._own_files(key)
        try:
            annotation, _ = annotation_files(PlateSources(self.dataset, key, folders=()))
        except (PassingFaultError, StoreError):
            raise
        except CpAssetsError as error:
            # Building the plate fails with it, where people see it; mending it is a change.
            yield InputFile("annotation_files", "fault", (str(error),))
            return
        for file in annotation:
            yield _file("annotation_files", file.name, file.path)

    def _trees(
        self, kind: FileKind, folders: Iterable[Place], *, follow_links: bool
    ) -> Iterator[InputFile]:
        """Everything below some folders; nothing of one that is not there."""
        root, listed = self.dataset.root, list(folders)
        walked = walk_each(listed, follow_links=follow_links)
        for folder, entries in zip(listed, walked, strict=True):
            # Below the root, so that a dataset that moves as a whole has not changed.
            place = relative_path(folder, root) if lies_below(folder, root) else folder.name
            for entry in entries:
                name = f"{place}/{entry.relative}"
                own = "image_files" if _OVERLAYS & {*entry.relative.split("/")[:-1]} else kind
                if entry.leads_out:
                    yield InputFile(own, name, (entry.leads_out,))
                else:
                    yield _file(own, name, entry.below(folder))

    def _image_trees(self, folders: Iterable[Place]) -> Iterator[InputFile]:
        given = (self.dataset.mask_dir, self.dataset.outline_dir)
        follow = self.dataset.images.follow_links
        for some in (folders, (one for one in given if one is not None)):
            yield from self._trees("image_files", some, follow_links=follow)


class _GalleryFiles(DatasetFiles):
    """Plates below one ``<project>/<source>`` of the Cell Painting Gallery's layout."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self._plates = gallery_plate_names(dataset)
        self._images: dict[str, dict[str | None, list[Place]]] = {}

    def keys(self) -> tuple[PlateKey, ...]:
        own = self.dataset.dataset_id
        batches = self._plates.items()
        return tuple(
            sorted(PlateKey(own, batch, name) for batch, names in batches for name in names)
        )

    def _own_files(self, key: PlateKey) -> Iterator[InputFile]:
        root, batch, plate = self.dataset.root, key.batch_id, key.plate_id
        below = [WORKSPACE[kind] for kind in workspace_kinds(self.dataset)]
        folders = [root / folder / batch / plate for folder in (*below, LOAD_DATA)]
        # Links to measurements are followed when they are read, too.
        yield from self._trees("measurement_files", folders, follow_links=True)
        yield from self._image_trees(self._image_folders(batch, plate))

    def _image_folders(self, batch: str, plate: str) -> tuple[Place, ...]:
        """The plate's image folders; where none has its name, those that have no plate's."""
        if self.dataset.image_dir is not None:
            return (self.dataset.image_dir,)
        if batch not in self._images:
            self._images[batch] = self._folders_by_plate(batch)
        by_plate = self._images[batch]
        return tuple(by_plate.get(plate) or by_plate[None])

    def _folders_by_plate(self, batch: str) -> dict[str | None, list[Place]]:
        images = self.dataset.root / "images" / batch / "images"
        found: dict[str | None, list[Place]] = defaultdict(list)
        for folder in subfolders(images):
            found[_owner(folder.name, self._plates.get(batch, set()))].append(folder)
        return found


class _FolderFiles(DatasetFiles):
    """Plates of one folder of measurement files; which there are, its Image tables say."""

    @cached_property
    def _plates(self) -> dict[PlateKey, PlateSources]:
        return find_plates(self.dataset)

    def keys(self) -> tuple[PlateKey, ...]:
        return tuple(self._plates)

    def _own_files(self, key: PlateKey) -> Iterator[InputFile]:
        sources = self._plates[key]
        for folder in sources.folders:
            for compartment, table in sorted(folder.tables.items()):
                name = folder.relative_file(compartment)
                yield _file("measurement_files", name, table.path)
                log = write_ahead_log(table.path)
                if not isinstance(log, ObjectPath) and log.is_file():
                    yield _file("measurement_files", f"{name}-wal", log)
        overlays = [one.path / name for one in sources.folders for name in sorted(_OVERLAYS)]
        images = () if sources.image_dir is None else (sources.image_dir,)
        yield from self._image_trees((*images, *overlays))


def dataset_files(dataset: Dataset) -> DatasetFiles:
    """The plates that lie below a dataset's root now.

    Raises
    ------
    PlateNotFoundError
        If there is no such folder, or no plate in it.
    """
    layout = _GalleryFiles if dataset.layout == "cell-painting-gallery" else _FolderFiles
    found = layout(dataset)
    if not dataset.root.is_dir() or not found.keys():
        # Raises too, and says what was looked for and where.
        find_plates(dataset)
        msg = f"dataset {dataset.dataset_id}: no plate lies below {dataset.root}"
        raise PlateNotFoundError(msg)
    return found


def _owner(folder: str, plates: set[str]) -> str | None:
    """The plate with the longest name that a folder's name begins with.

    `BR-1-2__2021` is the folder of `BR-1-2`, not of `BR-1`.
    """
    ends = range(len(folder), 0, -1)
    own = (folder[:end] for end in ends if folder[:end] in plates)
    return next((plate for plate in own if is_full_name(folder, plate)), None)


def _file(kind: FileKind, name: str, path: Place) -> InputFile:
    status = path.stat()
    return InputFile(kind, name, state_of(path), status.st_size, status.st_mtime_ns)
