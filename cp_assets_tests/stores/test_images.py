"""Images of each kind of store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from cp_assets_tests.images.readers.files import pixels, read, write_zarr
from cp_assets_tests.stores.conftest import Bucket


def test_images_are_read_from_each_kind_of_store(bucket: Bucket, tmp_path: Path) -> None:
    image = pixels("uint16", (37, 41))
    tifffile.imwrite(tmp_path / "a.tif", image, compression="zlib", tile=(16, 16))
    write_zarr(tmp_path / "a.zarr", image, chunks=(10, 10), shards=(20, 20))
    for file in tmp_path.rglob("*"):
        if file.is_file():
            (bucket.root / file.relative_to(tmp_path).as_posix()).write_bytes(file.read_bytes())
    listed = {path.name: path for path in bucket.root.iterdir()}
    assert listed.keys() == {"a.tif", "a.zarr"}
    for path in listed.values():
        np.testing.assert_array_equal(read(path)[1][0, 0, 0], image)
