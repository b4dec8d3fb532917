"""Files of any format that are no image, cannot be opened, or change while they are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from cp_assets.errors import InputChangedError
from cp_assets.images.readers import open_image
from cp_assets_tests.images.readers.files import pixels, write_ome_set, write_zarr
from cp_assets_tests.images.readers.hostile import refused, write_tiff

pytestmark = pytest.mark.usefixtures("little_memory")


def test_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "gone.tif", r"gone\.tif: cannot be opened \(No such file")


@pytest.mark.parametrize("content", [b"", b"II", b"GIF89a.....", b"\x89PNG\r\n\x1a\n"])
def test_file_that_is_no_image(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    refused(tmp_path / "a.tif", "neither TIFF, PNG nor Zarr|cannot be decoded")


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    refused(tmp_path / "a.tif", "neither a file nor a folder")


def test_path_that_cannot_be() -> None:
    refused(Path("a\0.tif"), "cannot be opened")


@pytest.mark.parametrize("kind", ["tif", "png", "set", "zarr"])
@pytest.mark.parametrize("gone", [True, False], ids=["removed", "changed"])
def test_file_that_changes_while_it_is_read(tmp_path: Path, kind: str, gone: bool) -> None:
    image = pixels("uint8", (3, 16, 16))
    path = changed = tmp_path / f"a.{kind}"
    if kind == "tif":
        write_tiff(path, image[0], compression="lzw")
    elif kind == "png":
        Image.fromarray(image[0]).save(path)
    elif kind == "set":
        path, changed, _ = write_ome_set(tmp_path, image)
    else:
        changed = write_zarr(path, image) / "zarr.json"
    with open_image(path) as reader:
        reader.read()
        if gone:
            changed.unlink()
        else:
            with changed.open("ab") as file:
                file.write(b" ")
        with pytest.raises(InputChangedError, match="changed while it was read"):
            reader.read()
