"""The files of the next image sets come from a store while the current ones are cut."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from cp_assets.images import image_crops, loading
from cp_assets.rejections import RejectionLog
from cp_assets.stores import ObjectPath, Prefetch, object_path
from cp_assets_tests.images.plates import GOOD, build_plate, profile_rows
from cp_assets_tests.stores.memory import BUCKET, MemoryStore


def test_forty_image_sets_do_not_wait_for_each_of_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plate = build_plate(
        tmp_path, [(f"{row}{column:02}", "1") for row in "ABCD" for column in range(1, 11)]
    )
    (tmp_path / "masks").mkdir()
    for image_set in plate.sets:
        name = image_set.channels[0].file_name
        tifffile.imwrite(tmp_path / "masks" / name, np.ones(plate.images[name].shape, np.uint8))
    store = MemoryStore(
        {
            path.relative_to(tmp_path).as_posix(): path.read_bytes()
            for path in tmp_path.rglob("*.tif")
        },
        seconds=0.05,
    )
    assert len(store.objects) == 120
    monkeypatch.setattr(object_path, "connect", lambda _bucket, _options: store)
    # Room for the files of five image sets.
    monkeypatch.setattr(loading, "_FETCHED_SHARE", 2**10)
    peak = _watch_peak(monkeypatch)
    root = ObjectPath(BUCKET)
    sources = dataclasses.replace(
        plate.with_options(max_memory=64 * 2**20),
        image_dir=root / "images",
        mask_dir=root / "masks",
    )
    profiles = [profile_rows(image_set, [GOOD]) for image_set in plate.sets]
    start = time.monotonic()
    rows = sum(
        batch.num_rows
        for batch in image_crops(profiles, plate.sets, sources, RejectionLog(), "Cells")
    )
    seconds = time.monotonic() - start
    assert rows == 80
    assert store.reads.total() == 120
    assert store.most_at_once > 8
    assert seconds < 120 * store.seconds / 2
    assert 2**15 < max(peak) <= 2**16


def _watch_peak(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes that were fetched, or on their way, each time that more were asked for."""
    seen: list[int] = []
    fetch = Prefetch._fetch

    def watched(self: Any, files: Any) -> None:
        fetch(self, files)
        seen.append(self._memory - self._free)

    monkeypatch.setattr(Prefetch, "_fetch", watched)
    return seen
