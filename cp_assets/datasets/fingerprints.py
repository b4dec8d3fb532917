"""Fingerprints: whether the inputs of a partition are still what they were.

A file counts as unchanged while its path below the dataset, its size and its time of change are the
same. Reading the bytes would cost as much as the work that a fingerprint saves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cp_assets.datasets.model import PlateSources
from cp_assets.errors import InputChangedError


def file_state(path: Path) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@contextmanager
def unchanged(path: Path) -> Iterator[Path]:
    """Hold a file to be the same before and after it is read.

    Raises
    ------
    InputChangedError
        If its size or time of change differ afterwards.
    """
    before = file_state(path)
    yield path
    after = file_state(path)
    if before != after:
        msg = (
            f"{path} changed while it was read ({before[0]} -> {after[0]} bytes); run the plate again "
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
        (folder.relative_file(name), *file_state(path))
        for folder in sources.folders
        for name, path in sorted(folder.tables.items())
    ]
    options = (dataset.layout, dict(dataset.column_types), sources.image_plate)
    return digest([str(sources.key), options, files])


def image_fingerprint(sources: PlateSources) -> str:
    """Fingerprint of all files below a plate's image and overlay folders, and of the image options."""
    given = (sources.image_dir, sources.mask_dir, sources.outline_dir)
    in_folders = [
        folder.path / name for folder in sources.folders for name in ("masks", "outlines")
    ]
    listed = [_tree(folder) for folder in (*given, *in_folders) if folder is not None]
    load_data = [(path.name, *file_state(path)) for path in sources.load_data]
    options = sources.dataset.images
    shaping = (
        options.channels,
        dict(options.path_prefix_map),
        dict(options.bbox_column_map or {}),
        dict(options.segmentation_file_regex or {}),
    )
    return digest([listed, load_data, shaping])


def _tree(folder: Path) -> list[tuple[str, int, int]]:
    if not folder.is_dir():
        return []
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted((path.relative_to(folder).as_posix(), *file_state(path)) for path in files)
