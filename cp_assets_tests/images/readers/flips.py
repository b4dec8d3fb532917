"""Flip bytes of an image file, one after another; a program, so that a crash is seen as one.

``python -m cp_assets_tests.images.readers.flips FLIPS BYTES PATH...`` prints how many flips, spread
over the images, still gave pixels and how many an error. It fails at any other outcome, and cannot
take more than ``BYTES``.
"""

from __future__ import annotations

import logging
import random
import sys
import time
from collections import Counter
from pathlib import Path

from cp_assets.errors import ImageReadError
from cp_assets.images.readers import open_image
from cp_assets_tests.images.readers.files import limit_memory

SECONDS_FOR_ONE = 5


def outcome(path: Path) -> str:
    """Read an image whole, as far as a small one can be; say whether it gave pixels."""
    try:
        with open_image(path, limit=2**24) as reader:
            image = reader.read()
            assert image.shape == reader.header.shape
            assert image.dtype == reader.header.dtype
    except ImageReadError:
        return "error"
    return "pixels"


def main(flips: int, memory: int, paths: list[Path]) -> Counter[str]:
    """Flip one byte at a time of any file of any image, and put it back."""
    limit_memory(memory)
    logging.disable()
    files = {path: [path, *sorted(path.rglob("*"))] for path in paths}
    files = {path: [file for file in below if file.is_file()] for path, below in files.items()}
    numbers, outcomes = random.Random(1), Counter[str]()  # noqa: S311 - the same in each run
    for _ in range(flips):
        path = numbers.choice(paths)
        file = numbers.choice(files[path])
        content = file.read_bytes()
        data = bytearray(content)
        data[numbers.randrange(len(data))] ^= numbers.randrange(1, 256)
        file.write_bytes(data)
        start = time.monotonic()
        outcomes[outcome(path)] += 1
        assert time.monotonic() - start < SECONDS_FOR_ONE, f"{file} took too long"
        file.write_bytes(content)
    return outcomes


if __name__ == "__main__":
    flips, memory, *paths = sys.argv[1:]
    print(dict(main(int(flips), int(memory), [Path(path) for path in paths])))  # noqa: T201
