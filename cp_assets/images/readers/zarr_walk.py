"""All arrays of a Zarr, at every depth: of groups, pyramids, plates with their wells and fields."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cp_assets.datasets.listing import lies_below, on_each
from cp_assets.errors import ImageReadError
from cp_assets.images.readers.zarr_metadata import METADATA_FILES
from cp_assets.images.readers.zarr_nodes import V2, V3, ZarrStore, json_dict, json_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cp_assets.images.readers.guarding import Watch
    from cp_assets.images.readers.zarr_nodes import Json, Node, ZarrImage
    from cp_assets.stores import Place

_FORMAT_FILES = {V2: (".zgroup", ".zarray"), V3: ("zarr.json",)}


@dataclass(frozen=True, slots=True)
class FoundArray:
    """An array of a store.

    Attributes
    ----------
    well, field
        Of a plate: ``A/1`` and ``0``.
    """

    image: ZarrImage
    well: str | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """What the groups above say of what lies below them.

    Attributes
    ----------
    levels
        Folder of an array -> its group, multiscale image and level.
    fields
        Folder of an image of a plate -> its well and field.
    """

    levels: dict[Place, tuple[Node, Json, int]] = field(default_factory=dict)
    fields: dict[Place, tuple[str, str]] = field(default_factory=dict)
    here: tuple[str | None, str | None] = (None, None)


def walk_arrays(path: Place, watch: Watch) -> Iterator[FoundArray | ImageReadError]:
    """All arrays at or below a path, depth first, each folder in the order of its names.

    What cannot be read, what a group names and lacks, and what is of another format than the group
    it lies in, comes as an error in its place.

    Raises
    ------
    ImageReadError
        If the path itself is no node of a Zarr, or cannot be read.
    """
    store = ZarrStore.around(path, watch)
    node = store.node(path)
    yield from _mixed(store, node)
    if node.array is not None:
        yield FoundArray(store.find(path, 0))
        return
    yield from _below(store, node, _Known())


def _below(store: ZarrStore, group: Node, known: _Known) -> Iterator[FoundArray | ImageReadError]:
    known, named = _said(group, known)
    folders = _folders(group.folder)
    children = on_each(lambda folder: _child(store, folder), folders, group.folder)
    for folder, node in zip(folders, children, strict=True):
        here = replace(known, here=known.fields.get(folder, known.here))
        if isinstance(node, ImageReadError):
            yield node
        elif node is None:
            # A folder between nodes, which some writers leave without metadata of its own.
            yield from _below(store, replace(group, folder=folder, attributes={}), here)
        elif node.zarr_format != group.zarr_format:
            yield ImageReadError(
                f"image {folder}: Zarr v{node.zarr_format} in a group of Zarr v"
                f"{group.zarr_format}, which does not list it; write both in one format"
            )
        else:
            yield from _mixed(store, node)
            if node.array is None:
                yield from _below(store, node, here)
            else:
                yield FoundArray(_image(store, node, here), *here.here)
    for folder in named:
        if not store.files.is_node(folder):
            yield ImageReadError(f"image {folder}: named by {group.folder}, but not there")


def _child(store: ZarrStore, folder: Place) -> Node | ImageReadError | None:
    try:
        return store.node(folder) if store.files.is_node(folder) else None
    except ImageReadError as error:
        return error


def _image(store: ZarrStore, node: Node, known: _Known) -> ZarrImage:
    said = known.levels.get(node.folder)
    return store.plain(node) if said is None else store.described(node, *said)


def _mixed(store: ZarrStore, node: Node) -> Iterator[ImageReadError]:
    """Tell of metadata in the format that was not read."""
    other = V2 if node.zarr_format == V3 else V3
    if any(store.files.has(node.folder, name) for name in _FORMAT_FILES[other]):
        yield ImageReadError(
            f"image {node.folder}: holds metadata of Zarr v2 and v3; those of v3 are read, remove "
            "the others"
        )


def _said(group: Node, known: _Known) -> tuple[_Known, list[Place]]:
    """Add what a group says of what lies below it; give the folders that it names, too."""
    levels, fields, ome = dict(known.levels), dict(known.fields), group.ome
    named = []
    for multiscale in json_list(ome, "multiscales"):
        for level, dataset in enumerate(json_list(multiscale, "datasets")):
            folder = _inside(group.folder, dataset.get("path"))
            if folder is not None:
                named.append(folder)
                levels.setdefault(folder, (group, multiscale, level))
    for image in json_list(json_dict(ome, "well"), "images"):
        folder = _inside(group.folder, image.get("path"))
        if folder is not None:
            named.append(folder)
            well = f"{group.folder.parent.name}/{group.folder.name}"
            fields[folder] = well, str(image["path"])
    for one in json_list(json_dict(ome, "plate"), "wells"):
        folder = _inside(group.folder, one.get("path"))
        named += [] if folder is None else [folder]
    return replace(known, levels=levels, fields=fields), named


def _inside(folder: Place, name: object) -> Place | None:
    """What a group names, if that is a path below it."""
    if not isinstance(name, str) or not name or name.startswith("/") or ".." in name.split("/"):
        return None
    return folder / name


def _folders(group: Place) -> list[Place]:
    """Folders in a group, sorted, without links that lead back to a folder above."""
    return sorted(
        child
        for child in group.iterdir()
        if child.name not in METADATA_FILES
        and child.is_dir()
        and not (child.is_symlink() and lies_below(group.resolve(), child.resolve()))
    )
