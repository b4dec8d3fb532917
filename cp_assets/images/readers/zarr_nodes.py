"""Which array of a Zarr store is meant, and what its axes are: plain Zarr, OME-Zarr, plates."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cp_assets.datasets.listing import lies_below
from cp_assets.errors import ImageReadError
from cp_assets.images.readers.axes import name_axes
from cp_assets.images.readers.model import AXES, UNKNOWN_SIZE
from cp_assets.images.readers.units import micrometres
from cp_assets.images.readers.zarr_metadata import MetadataFiles
from cp_assets.payloads.types import PhysicalSize

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cp_assets.images.readers.guarding import Watch
    from cp_assets.stores import Place

_SHOWN = 12
_NAMES = {"time": "T", "channel": "C", "t": "T", "c": "C", "z": "Z", "y": "Y", "x": "X"}
V2, V3 = 2, 3

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """An array or a group of a store.

    Attributes
    ----------
    array
        Metadata of an array (``.zarray``, ``zarr.json``); None for a group.
    attributes
        What the writer says of it.
    """

    folder: Place
    zarr_format: int
    array: Json | None
    attributes: Json

    @property
    def ome(self) -> Json:
        """What OME-Zarr says of it: 0.5 has a place of its own for that, 0.4 has not."""
        ome = self.attributes.get("ome")
        return ome if self.zarr_format == V3 and isinstance(ome, dict) else self.attributes


@dataclass(frozen=True, slots=True)
class ZarrImage:
    """An array, and what is known of it.

    Attributes
    ----------
    store
        Folder of the outermost group or array.
    axes
        What the file calls the axes, lower case; None if it does not say.
    level
        Which resolution of a multiscale image it is; 0 is the full one.
    """

    store: Place
    node: Node
    is_ome: bool = False
    axes: tuple[str, ...] | None = None
    channel_names: tuple[str | None, ...] = ()
    physical_size: PhysicalSize = UNKNOWN_SIZE
    level: int | None = None

    @property
    def array_path(self) -> str:
        """Path of the array below the store; empty if it is the store."""
        return self.node.folder.as_posix()[len(self.store.as_posix()) :].strip("/")


@dataclass(frozen=True, slots=True)
class ZarrStore:
    """Reads the metadata of a store, and nothing that lies outside it."""

    root: Place
    files: MetadataFiles
    _real: Place = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_real", self.root.resolve())

    @classmethod
    def around(cls, path: Place, watch: Watch) -> ZarrStore:
        """Find the store that a path lies in: its outermost Zarr folder."""
        root, files = path, MetadataFiles.of(path, watch)
        while root.parent != root and not files.is_outermost(root):
            root = root.parent
        return cls(root, files)

    def find(self, path: Place, series: int) -> ZarrImage:
        """Choose the array that `path` and `series` mean.

        Raises
        ------
        ImageReadError
            If there is no such array, or if several could be meant.
        """
        node = self.node(path)
        if node.array is None:
            return self._in_group(node, series)
        if series:
            _refuse_series(path, series, 1)
        parent = self.node(path.parent) if path != self.root else None
        for multiscale in json_list(parent.ome, "multiscales") if parent else []:
            for level, dataset in enumerate(json_list(multiscale, "datasets")):
                if parent and dataset.get("path") == path.name:
                    return self.described(node, parent, multiscale, level)
        return self.plain(node)

    def node(self, folder: Place) -> Node:
        """Read the metadata of an array or group.

        Raises
        ------
        ImageReadError
            If there is none, or if it cannot be used.
        """
        document = self._json(folder, "zarr.json")
        if document is not None:
            array = document if document.get("node_type") == "array" else None
            return Node(folder, V3, array, json_dict(document, "attributes"))
        array = self._json(folder, ".zarray")
        if array is None and not self.files.has(folder, ".zgroup"):
            msg = (
                f"image {folder}: a folder without .zarray, .zgroup or zarr.json; expected a Zarr "
                "store, or a group or array inside one"
            )
            raise ImageReadError(msg)
        return Node(folder, V2, array, self._json(folder, ".zattrs") or {})

    def _json(self, folder: Place, name: str) -> Json | None:
        if not self.files.has(folder, name):
            return None
        file = folder / name
        self.check_inside(file)
        data = self.files.read(folder, name)
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            msg = f"image {file}: is not valid JSON ({error}); copy the store again"
            raise ImageReadError(msg) from error
        if not isinstance(document, dict):
            msg = f"image {file}: holds a {type(document).__name__}, not the metadata of Zarr"
            raise ImageReadError(msg)
        return document

    def check_inside(self, file: Place) -> None:
        """Refuse a file that a link brings in from outside the store."""
        if not lies_below(file.resolve(), self._real):
            msg = (
                f"image {file}: a link that leads out of the store {self.root}; copy the store "
                "with the files that its links point to"
            )
            raise ImageReadError(msg)

    def _child(self, node: Node, name: object) -> Node:
        parts = PurePosixPath(name).parts if isinstance(name, str) else ()
        if not parts or ".." in parts or parts[0] == "/":
            msg = f"image {node.folder}: names {name!r} as a part of it; expected a path inside it"
            raise ImageReadError(msg)
        return self.node(node.folder.joinpath(*parts))

    def _in_group(self, node: Node, series: int) -> ZarrImage:
        ome = node.ome
        if "multiscales" in ome:
            multiscales = json_list(ome, "multiscales")
            if not 0 <= series < len(multiscales):
                _refuse_series(node.folder, series, len(multiscales))
            datasets = json_list(multiscales[series], "datasets")
            if not datasets:
                msg = f"image {node.folder}: its multiscales metadata lists no datasets"
                raise ImageReadError(msg)
            array = self._child(node, datasets[0].get("path"))
            return self.described(array, node, multiscales[series], 0)
        if "plate" in ome:
            wells = [well.get("path") for well in json_list(json_dict(ome, "plate"), "wells")]
            fields = json_dict(ome, "plate").get("field_count", "?")
            _refuse_choice(node, f"plate of {fields} fields in each of the wells", wells)
        if "well" in ome:
            fields = [image.get("path") for image in json_list(json_dict(ome, "well"), "images")]
            if len(fields) != 1:
                _refuse_choice(node, "well with the fields", fields)
            return self._in_group(self._child(node, fields[0]), series)
        if "bioformats2raw.layout" in ome:
            return self._in_group(self._child(node, self._series_path(node, series)), 0)
        return self._only_array(node, series)

    def _series_path(self, node: Node, series: int) -> object:
        """Path of an image in the layout of bioformats2raw: listed in OME, or its number."""
        if self.files.is_node(node.folder / "OME"):
            listed = self.node(node.folder / "OME").ome.get("series")
            if isinstance(listed, list) and listed:
                if not 0 <= series < len(listed):
                    _refuse_series(node.folder, series, len(listed))
                return listed[series]
        if not self.files.is_node(node.folder / str(series)):
            names = [child.name for child in node.folder.iterdir()]
            count = sum(self.files.is_node(node.folder / n) for n in names if n.isdigit())
            _refuse_series(node.folder, series, count)
        return str(series)

    def _only_array(self, node: Node, series: int) -> ZarrImage:
        folders = sorted(child.name for child in node.folder.iterdir() if child.is_dir())
        nodes = [self.node(node.folder / n) for n in folders if self.files.is_node(node.folder / n)]
        arrays = [child for child in nodes if child.array is not None]
        if len(arrays) != 1:
            _refuse_choice(node, "group of", [child.folder.name for child in nodes])
        if series:
            _refuse_series(node.folder, series, 1)
        return self.plain(arrays[0])

    def plain(self, node: Node) -> ZarrImage:
        """An array that no multiscale image names."""
        if node.zarr_format == V3:
            names = (node.array or {}).get("dimension_names")
        else:
            names = node.attributes.get("_ARRAY_DIMENSIONS")
        axes = tuple(map(_axis, names)) if isinstance(names, list) else None
        # Names such as dim_0 say nothing.
        known = axes is not None and any(axis in _NAMES.values() for axis in axes)
        return ZarrImage(self.root, node, axes=axes if known else None)

    def described(self, node: Node, group: Node, multiscale: Json, level: int) -> ZarrImage:
        """An array that a multiscale image of a group names as one of its resolutions."""
        listed = multiscale.get("axes")
        axes: list[Any] = listed if isinstance(listed, list) else []
        names = tuple(map(_axis, axes))
        dataset = json_list(multiscale, "datasets")[level]
        return ZarrImage(
            self.root,
            node,
            is_ome=True,
            axes=names or None,
            channel_names=_channel_names(group.ome),
            physical_size=_physical_size(names, axes, multiscale, dataset),
            level=level,
        )


def image_axes(image: ZarrImage, shape: tuple[int, ...]) -> str:
    """Name each axis of an array with one of T, C, Z, Y, X; see `name_axes`.

    Those that nothing names are the last of T, C, Z, Y, X, as in OME-Zarr before it named them.
    """
    axes = image.axes
    if axes is None:
        axes = tuple(AXES[-len(shape) :]) if 0 < len(shape) <= len(AXES) else ("?",) * len(shape)
    if len(axes) != len(shape):
        msg = (
            f"image {image.node.folder}: its metadata name the axes {', '.join(axes)}, but its "
            f"array has the shape {shape}; correct the metadata"
        )
        raise ImageReadError(msg)
    return name_axes(image.node.folder, axes, shape)


def json_dict(document: Json, key: str) -> Json:
    """A part of a document that is an object; empty if it is anything else."""
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def json_list(document: Json, key: str) -> list[Json]:
    """The objects of a part of a document that is a list."""
    value = document.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _axis(axis: object) -> str:
    """Letter of an axis, which is a name or has a name and a type; its name if it has none."""
    if isinstance(axis, dict):
        name, kind = str(axis.get("name")).lower(), str(axis.get("type")).lower()
        return _NAMES.get(name) or _NAMES.get(kind) or name
    name = str(axis).lower()
    return _NAMES.get(name, name)


def _channel_names(ome: Json) -> tuple[str | None, ...]:
    labels = [channel.get("label") for channel in json_list(json_dict(ome, "omero"), "channels")]
    return tuple(label if isinstance(label, str) else None for label in labels)


def _physical_size(
    names: tuple[str, ...], axes: list[Any], multiscale: Json, dataset: Json
) -> PhysicalSize:
    """Multiply the scales of a dataset and of its multiscale, where the axes have a unit."""
    scale = [1.0] * len(names)
    for holder in (dataset, multiscale):
        for transformation in json_list(holder, "coordinateTransformations"):
            factors = transformation.get("scale")
            if transformation.get("type") == "scale" and isinstance(factors, list):
                if len(factors) != len(names) or not all(
                    isinstance(factor, int | float) for factor in factors
                ):
                    return PhysicalSize()
                scale = [old * float(new) for old, new in zip(scale, factors, strict=True)]
    sizes = {
        name.lower(): micrometres(factor, axis.get("unit"))
        for name, factor, axis in zip(names, scale, axes, strict=True)
        if name in {"Z", "Y", "X"} and isinstance(axis, dict)
    }
    return PhysicalSize(**sizes)


def _refuse_series(folder: Place, series: int, count: int) -> None:
    msg = f"image {folder}: has no series {series}; it has {count}, counted from 0"
    raise ImageReadError(msg)


def _refuse_choice(node: Node, what: str, choices: Iterable[object]) -> None:
    names = [str(choice) for choice in choices]
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    example = names[0] if names else "..."
    msg = (
        f"image {node.folder}: a {what} {shown or '(none)'} ({len(names)}); name one image, such "
        f"as {node.folder / example}"
    )
    raise ImageReadError(msg)
