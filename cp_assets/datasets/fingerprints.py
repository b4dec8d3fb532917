"""Fingerprints: whether the inputs of a partition are still what they were.

A file counts as unchanged while its path below the dataset, its size and its time of change are the
same; one of a store, while its ETag is. Reading the bytes would cost as much as the work that a
fingerprint saves.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from cp_assets.datasets.walking import walk, walk_each
from cp_assets.errors import InputChangedError
from cp_assets.stores import ObjectPath, state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cp_assets.datasets.model import PlateSources
    from cp_assets.datasets.walking import Entry
    from cp_assets.stores import Place


def write_ahead_log(path: Place) -> Place:
    """Where SQLite keeps what was written to a database and is not in its file yet.

    Beside the file itself, wherever links to it lie.
    """
    real = path.resolve()
    return real.with_name(f"{real.name}-wal")


@contextmanager
def unchanged(path: Place) -> Iterator[Place]:
    """Hold a file to be the same before and after it is read.

    One of a store is read in one version whatever becomes of it, and not looked at twice.

    Raises
    ------
    InputChangedError
        If its size or time of change differ afterwards.
    """
    if isinstance(path, ObjectPath):
        yield path
        return
    before = state_of(path)
    yield path
    after = state_of(path)
    if before != after:
        msg = (
            f"{path} changed while it was read ({before[0]} -> {after[0]} bytes); run the plate "
            "again "
            "when the upload is finished"
        )
        raise InputChangedError(msg)


def digest(parts: Iterable[object]) -> str:
    """One fingerprint over parts that can be written as JSON."""
    text = json.dumps(list(parts), sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def measurement_fingerprint(sources: PlateSources) -> str:
    """Fingerprint of a plate's measurement files and of the options that shape their rows."""
    dataset = sources.dataset
    files = [
        (folder.relative_file(name), *state_of(table.path), *_log_state(table.path))
        for folder in sources.folders
        for name, table in sorted(folder.tables.items())
    ]
    # LoadData tells wells and sites that the Image tables do not.
    load_data = _load_data(sources)
    options = (dataset.layout, dict(dataset.column_types), sources.image_plate)
    presets = [asdict(folder.preset) for folder in sources.folders[:1]]
    left_out = [asdict(one) for one in sources.left_out]
    rest = [left_out] if left_out else []
    return digest([str(sources.key), options, presets, files, load_data, *rest])


def _log_state(path: Place) -> tuple[int | str, ...]:
    """State of a database's write-ahead log, in which rows may lie; empty where there is none."""
    if isinstance(path, ObjectPath):
        return ()
    log = write_ahead_log(path)
    return state_of(log) if log.is_file() else ()


def image_fingerprint(sources: PlateSources) -> str:
    """Fingerprint of all files in a plate's image and overlay folders, and of the image options.

    Files that only ``path_prefix_map`` leads to are those of
    `cp_assets.images.mapped_files.mapped_fingerprint`.
    """
    given = (sources.image_dir, sources.mask_dir, sources.outline_dir)
    options = sources.dataset.images
    follow = options.follow_links
    listed = [tree_state(folder, follow_links=follow) for folder in given if folder is not None]
    in_folders = [
        folder.path / name for folder in sources.folders for name in ("masks", "outlines")
    ]
    walked = walk_each(in_folders, follow_links=follow)
    listed += [_states(folder, found) for folder, found in zip(in_folders, walked, strict=True)]
    load_data = _load_data(sources)
    return digest([listed, load_data, options.shaping])


def _load_data(sources: PlateSources) -> list[tuple[object, ...]]:
    return [(path.name, *state_of(path)) for path in sources.load_data]


def tree_state(folder: Place, *, follow_links: bool) -> list[tuple[object, ...]]:
    """Path, and size and time of change (in a store, ETag) of every file below a folder.

    Of a refused link, its target.
    """
    if not isinstance(folder, ObjectPath) and not folder.is_dir():
        return []
    return _states(folder, walk(folder, follow_links=follow_links))


def _states(folder: Place, found: Iterable[Entry]) -> list[tuple[object, ...]]:
    return sorted(
        (entry.relative, entry.leads_out)
        if entry.leads_out
        else (entry.relative, *state_of(entry.below(folder)))
        for entry in found
    )
