"""Random trees of files, for tests that hold a store against a local folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from hypothesis import strategies as st

from cp_assets.stores import Place

Tree: TypeAlias = "dict[str, bytes | Tree]"

# Of names that clients and servers have to write in another way somewhere.
_LETTERS = "aB0 %+#?&=;,:@!$'()*~.-_^[]{}|<>\"`é日ü"

# Azure warns of names that end in a full stop, and rclone's server never answers to them.
NAMES = st.text(_LETTERS, min_size=1, max_size=6).filter(lambda name: not name.endswith("."))

TREES: st.SearchStrategy[Tree] = st.dictionaries(
    NAMES,
    st.recursive(
        st.binary(max_size=20),
        lambda below: st.dictionaries(NAMES, below, min_size=1, max_size=3),
        max_leaves=6,
    ),
    min_size=1,
    max_size=4,
)


def files_of(tree: Tree) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Relative path and bytes of each file."""
    for name, below in tree.items():
        if isinstance(below, bytes):
            yield PurePosixPath(name), below
        else:
            yield from ((name / path, data) for path, data in files_of(below))


def write_tree(tree: Tree, root: Place) -> None:
    """Write all files of a tree below a folder."""
    for relative, data in files_of(tree):
        path = root / relative
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
