"""A path in a store answers as `pathlib.Path` does of the same tree on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cp_assets.stores import ObjectPath, Place
from cp_assets_tests.stores.conftest import Bucket
from cp_assets_tests.stores.trees import NAMES, TREES, Tree, write_tree

_NUMBERS = count()

_RELATIVE = st.lists(st.one_of(NAMES, st.sampled_from([".", "", "..", "/"])), max_size=5)


def _answer(ask: Callable[[], Any]) -> Any:
    """What a call gives, or which error it raises."""
    try:
        return ask()
    except (OSError, ValueError) as error:
        return type(error)


def _said(path: Place, root: Place) -> dict[str, Any]:
    """All answers of a path that do not name its root."""

    def bytes_of() -> Any:
        if path.is_dir():
            return OSError  # pathlib names it more closely
        with path.open("rb") as file:
            return path.read_bytes(), file.read()

    return {
        "name": path.name,
        "stem": path.stem,
        "suffix": path.suffix,
        "relative": path.relative_to(root),
        "parents": [above.relative_to(root) for above in path.parents if root in above.parents],
        "parent": path.parent.name,
        "beside": path.with_name("other").relative_to(root),
        "exists": path.exists(),
        "is_file": path.is_file(),
        "is_dir": path.is_dir(),
        "is_symlink": path.is_symlink(),
        "size": path.stat().st_size if path.is_file() else None,
        "inside": _answer(lambda: sorted(one.name for one in path.iterdir())),
        "bytes": _answer(bytes_of),
    }


def _all_places(root: Place) -> Iterator[Place]:
    for one in sorted(root.iterdir()):
        yield one
        if one.is_dir():
            yield from _all_places(one)


# To make a failing tree smaller would take minutes of requests.
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(tree=TREES, missing=NAMES)
def test_a_store_answers_as_a_folder_does(bucket: Bucket, tree: Tree, missing: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        name = f"tree {next(_NUMBERS)}"
        on_disk, in_store = Path(scratch) / name, bucket.root / name
        write_tree(tree, on_disk)
        write_tree(tree, in_store)
        paths = [path.relative_to(on_disk) for path in _all_places(on_disk)]
        assert [path.relative_to(in_store) for path in _all_places(in_store)] == paths
        folders = [PurePosixPath(), *(path for path in paths if (on_disk / path).is_dir())]
        by_name = [in_store / path for path in [*paths, *(one / missing for one in folders)]]
        for path in [*by_name, *_all_places(in_store)]:
            assert _said(path, in_store) == _said(on_disk / path.relative_to(in_store), on_disk)
        found = [path.relative_to(in_store) for path in in_store.files_below()]
        assert sorted(found) == [path for path in paths if (on_disk / path).is_file()]


@given(first=_RELATIVE, second=_RELATIVE)
def test_names_are_put_together_as_pathlib_does(first: list[str], second: list[str]) -> None:
    root, expected = ObjectPath.parse("s3://bucket"), PurePosixPath("/")
    for parts in (first, second):
        root = root.joinpath(*parts)
        expected = expected.joinpath(*parts)
    assert root.parts[1:] == expected.parts[1:]
    assert root.as_uri() == str(root) == f"s3://bucket{str(expected).rstrip('/')}"
    assert [above.parts[1:] for above in root.parents] == [p.parts[1:] for p in expected.parents]
    assert root.parent.parts[1:] == expected.parent.parts[1:]
    assert all(root.is_relative_to(above) for above in root.parents)
    if expected.name:
        assert (root.name, root.stem) == (expected.name, expected.stem)
        assert root.suffix == expected.suffix


@given(st.lists(st.lists(NAMES, min_size=1, max_size=4), max_size=6))
def test_order_and_equality_are_those_of_pathlib(keys: list[list[str]]) -> None:
    paths = sorted(ObjectPath.parse("s3://bucket").joinpath(*key) for key in keys)
    expected = sorted(PurePosixPath(*key) for key in keys)
    assert ["/".join(path.parts[1:]) for path in paths] == [str(path) for path in expected]
    assert len(set(paths)) == len(set(expected))


@given(first=_RELATIVE, second=_RELATIVE)
def test_relative_paths_lead_back(first: list[str], second: list[str]) -> None:
    one = ObjectPath.parse("s3://bucket").joinpath(*first)
    other = one.joinpath(*second)
    if other.is_relative_to(one):
        assert one / other.relative_to(one) == other
    else:
        with pytest.raises(ValueError, match="is not below"):
            other.relative_to(one)
