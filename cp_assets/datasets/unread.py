"""What lies measured below a folder and is read by none of its plates, to be said to people."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

from cp_assets.datasets.listing import entries
from cp_assets.datasets.measurement_folders import tables_of_any_dialect
from cp_assets.stores import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cp_assets.datasets.model import Dataset, PlateSources
    from cp_assets.stores import Place

_DEPTH = 3
_MOST_FOLDERS = 1000
_MOST_IN_STORE = 50
_LINES = 5
_NAMES = 4


def unread_measurements(dataset: Dataset, plates: Iterable[PlateSources]) -> list[str]:
    """One line for each folder with tables of another dialect, or further down than is read.

    At most `_MOST_FOLDERS` folders, of a store `_MOST_IN_STORE`, are looked at, not below those of
    a plate, and `_LINES` named.
    Of one file, and of a gallery prefix, whose folders have fixed places, nothing is said.
    """
    if dataset.file is not None or dataset.layout != "cellprofiler":
        return []
    folders = [folder for plate in plates for folder in plate.folders]
    read = {table.path for folder in folders for table in folder.tables.values()}
    chosen = sorted({folder.preset.name for folder in folders})
    lines = []
    for folder, files in _listed(dataset.root, {path.parent for path in read}):
        unread = tuple(path for path in files if path not in read)
        of_plate = any(one.path == folder for one in folders)
        for preset, names in tables_of_any_dialect(dataset, folder, unread):
            if of_plate and preset in chosen:
                continue  # What is wrong with them is told by the plate.
            why = (
                "tables are looked for in the folder that was named and one level below"
                if preset in chosen
                else f"{' and '.join(chosen)} was found first"
            )
            shown = ", ".join((*names[:_NAMES], *(["..."] if len(names) > _NAMES else [])))
            lines.append(f"{folder}: {shown} ({preset}) left out: {why}; convert it by itself")
    more = [f"and {len(lines) - _LINES} more"] if len(lines) > _LINES else []
    return lines[:_LINES] + more


def _listed(root: Place, of_plates: set[Place]) -> Iterator[tuple[Place, tuple[Place, ...]]]:
    """Folders, nearest first, with their files; nothing below a plate's but the root."""
    waiting = deque([(root, 0)])
    for _ in range(_MOST_IN_STORE if isinstance(root, ObjectPath) else _MOST_FOLDERS):
        if not waiting:
            return
        folder, depth = waiting.popleft()
        try:
            there = [one for one in _children(folder) if one[0].name[0] != "."]
        except OSError:
            continue
        yield folder, tuple(path for path, is_folder in there if not is_folder)
        if depth < _DEPTH and (folder == root or folder not in of_plates):
            waiting.extend((path, depth + 1) for path, is_folder in there if is_folder)


def _children(folder: Place) -> list[tuple[Place, bool]]:
    """What lies in a folder, sorted, each with whether it is a folder."""
    if isinstance(folder, ObjectPath):
        return [(path, path.is_dir()) for path in entries(folder)]
    with os.scandir(folder) as listing:
        return sorted((folder / one.name, one.is_dir()) for one in listing)
