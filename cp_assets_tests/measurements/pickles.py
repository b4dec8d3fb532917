"""Pickles and ``.npz`` files as numpy and DeepProfiler write them, and as an attacker would."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


class Calls:
    """Pickles as the call of a function: what a malicious file does."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def pickled(value: object, protocol: int = 4) -> bytes:
    """A 0-d object array as numpy pickles it."""
    array = np.empty((), dtype=object)
    array[()] = value
    return pickle.dumps(array, protocol=protocol)


def npy(array: Any) -> bytes:
    """The content of an ``.npy`` file."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def npy_of_pickle(data: bytes) -> bytes:
    """An ``.npy`` file that holds a pickle, good or bad."""
    stream = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(stream, header)  # type: ignore[arg-type]
    return stream.getvalue() + data


def write_members(
    path: Path, members: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED
) -> Path:
    """Write a zip of files ``<member>.npy`` with any content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def write_site(path: Path, metadata: object = None, **arrays: Any) -> Path:
    """Write a site as DeepProfiler does, of 3 objects with 4 features where none are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    given = {
        "features": np.arange(12, dtype=np.float32).reshape(3, 4),
        "locations": np.array([[1.5, 2.5], [3.5, 4.5], [5.5, 6.5]]),
        "metadata": {"Metadata_Plate": "P1", "Metadata_Well": "A01", "Metadata_Site": 5}
        if metadata is None
        else metadata,
        **arrays,
    }
    np.savez_compressed(path, **{name: one for name, one in given.items() if one is not None})
    return path
