"""Image sets: which image files the Image table names, channel by channel.

CellProfiler records a file under ``FileName_X``, ``PathName_X`` and ``URL_X``. Some X are source
images (what a microscope took), some are files that the pipeline saved (overlays, outlines), some
are no images at all (illumination functions). This module tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from cp_assets.errors import ConfigurationError
from cp_assets.images import recorded
from cp_assets.rejections import Rejection

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_SUFFIXES = (
    *(".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".stk", ".dib", ".flex"),
    *(".c01", ".nd2", ".czi", ".lif", ".zvi", ".lsm", ".zarr"),
)
"""Endings of image files, also of formats that cannot be read yet: those are rejected by name, not
passed over. Never ``.npy`` or ``.mat``: CellProfiler keeps illumination functions in those."""

_FULL_SIZE = "0"
"""The array in a Zarr image that CellProfiler records as its file; another level is not taken."""

_LOADED_MARKS = ("MD5Digest_", "Height_", "Scaling_", "Channel_", "Frame_")
"""Columns that CellProfiler fills for images that it loaded, and not for images that it saved."""

_FILE_COLUMNS = ("FileName_", "PathName_", "URL_", "Width_", "Series_", *_LOADED_MARKS)

_KEYS = ("image_id", "well_id", "site_id", "source_folder", "ImageNumber")

_Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChannelFile:
    """One file as a table of the pipeline records it; nothing is known yet of where it lies now.

    Attributes
    ----------
    channel
        CellProfiler's name, verbatim: the X of ``FileName_X``.
    file_name, path_name, url
        As recorded, without surrounding white space.
    height, width
        Size in pixels when CellProfiler loaded it, or None.
    series, frame, colour
        Which image of the file, which plane of it, and which colour of that plane, counted from 0,
        when the table says so (``Series_``, ``Frame_``, ``Channel_``; CellProfiler writes -1 there
        for a plane of one colour).
    """

    channel: str
    file_name: str
    path_name: str | None = None
    url: str | None = None
    height: int | None = None
    width: int | None = None
    series: int | None = None
    frame: int | None = None
    colour: int | None = None

    @property
    def recorded(self) -> str:
        """The recorded place as text: the URL, else the path and name, else the name alone."""
        if self.url:
            return self.url
        return f"{self.path_name}/{self.file_name}" if self.path_name else self.file_name


@dataclass(frozen=True, slots=True)
class ImageSet:
    """All channels of one site at one time, as the Image table records them.

    Attributes
    ----------
    source_folder
        Measurement folder of the Image table, relative to the dataset's root, with ``/``.
    channels
        Source images, in the order of the channels' names or as the user listed them.
    others
        Source images that were not asked for: they tell which files are shared.
    saved
        Files that the pipeline saved for this image set, such as ``CellOutlines``.
    absent
        Channels of the plate for which this image set names no file.
    """

    image_id: str
    well_id: str | None
    site_id: str | None
    image_number: int | None
    source_folder: str
    channels: tuple[ChannelFile, ...]
    others: tuple[ChannelFile, ...] = ()
    saved: tuple[ChannelFile, ...] = ()
    absent: tuple[str, ...] = ()

    def rejection(
        self, kind: Literal["crop", "image"], reason: str, detail: str, **more: Any
    ) -> Rejection:
        """What the books say of something of this image set; ``more`` is for `Rejection`."""
        return Rejection(
            kind,
            reason,
            detail,
            well_id=self.well_id,
            site_id=self.site_id,
            image_id=self.image_id,
            **more,
        )


def image_sets(
    batches: Iterable[pa.RecordBatch], channels: tuple[str, ...] | None = None
) -> Iterator[ImageSet]:
    """Image sets of one plate, in the order of the rows.

    What is a channel of the plate depends on all of its rows, so all rows are read first; only the
    columns that name files are kept, a few hundred bytes a row.

    Parameters
    ----------
    batches
        Rows of the Image compartment of ``profiles.raw_measurements`` of one plate; of their
        columns those of `file_columns` are enough.
    channels
        Names of the channels to take, or None for every source image.

    Raises
    ------
    ConfigurationError
        If no row names an image file, or a name in ``channels`` is not one of the plate's images.
    """
    rows = _file_rows(batches)
    names = _image_names(rows)
    if rows and not names:
        raise ConfigurationError(_no_names(rows))
    sources = _source_names(rows, names)
    wanted = sources if channels is None else _chosen(channels, names, sources)
    others = tuple(name for name in sources if name not in wanted)
    saved = tuple(name for name in names if name not in sources and name not in wanted)
    for row in rows:
        yield _image_set(row, wanted, others, saved)


def file_columns(names: Iterable[str]) -> list[str]:
    """Those columns of an Image table that `image_sets` reads."""
    return [name for name in names if name in _KEYS or name.startswith(_FILE_COLUMNS)]


def _file_rows(batches: Iterable[pa.RecordBatch]) -> list[_Row]:
    rows: list[_Row] = []
    for batch in batches:
        rows.extend(batch.select(file_columns(batch.schema.names)).to_pylist())
    return rows


def _image_names(rows: list[_Row]) -> tuple[str, ...]:
    """Every X with an image file's name in at least one row, sorted."""
    columns = {column for row in rows for column in row if column.startswith("FileName_")}
    names = sorted(column.removeprefix("FileName_") for column in columns)
    return tuple(name for name in names if any(_names_image(row, name) for row in rows))


def _names_image(row: _Row, name: str) -> bool:
    text = _text(row.get(f"FileName_{name}"))
    if text != _FULL_SIZE:
        return text is not None and text.lower().endswith(IMAGE_SUFFIXES)
    file = _channel_file(row, name)
    return file is not None and file.file_name != _FULL_SIZE


def _no_names(rows: list[_Row]) -> str:
    """Say what was found where image files should be named, by one value a column."""
    found = {
        column: text
        for row in reversed(rows)
        for column, value in row.items()
        if column.startswith("FileName_") and (text := _text(value))
    }
    values = ", ".join(f"{column} = {found[column]!r}" for column in sorted(found)[:5])
    return (
        f"Image table of folder {rows[0].get('source_folder')!r}: no row names an image file, so "
        "there is nothing to crop; expected columns FileName_<channel> with names that end in "
        f".tif, .png, .zarr or the like, found {values or 'none that is filled'}. Add them (with "
        "PathName_<channel> where names repeat), or leave image_dir out to convert measurements "
        "alone"
    )


def _source_names(rows: list[_Row], names: tuple[str, ...]) -> tuple[str, ...]:
    """Those X that were loaded; all of them where the table does not say what was loaded.

    Values count, not columns: a table of many plates has columns that this plate never filled.
    """
    marked = {
        column.removeprefix(mark)
        for row in rows
        for column, value in row.items()
        for mark in _LOADED_MARKS
        if value is not None and column.startswith(mark)
    }
    loaded = tuple(name for name in names if name in marked)
    return loaded or names


def _chosen(
    channels: tuple[str, ...], names: tuple[str, ...], sources: tuple[str, ...]
) -> tuple[str, ...]:
    unknown = [name for name in channels if name not in names]
    if unknown:
        msg = (
            f"channels: {', '.join(unknown)} not among the images of the Image table; there are "
            f"{', '.join(sources) or 'none'}. Take names from that list, or leave `channels` out "
            "to crop all of them"
        )
        raise ConfigurationError(msg)
    return tuple(dict.fromkeys(channels))


def _image_set(
    row: _Row, wanted: tuple[str, ...], others: tuple[str, ...], saved: tuple[str, ...]
) -> ImageSet:
    files = {name: _channel_file(row, name) for name in (*wanted, *others, *saved)}
    number = row.get("ImageNumber")
    return ImageSet(
        image_id=str(row["image_id"]),
        well_id=_text(row.get("well_id")),
        site_id=_text(row.get("site_id")),
        image_number=None if number is None else int(number),
        source_folder=_text(row.get("source_folder")) or "",
        channels=tuple(file for name in wanted if (file := files[name])),
        others=tuple(file for name in others if (file := files[name])),
        saved=tuple(file for name in saved if (file := files[name])),
        absent=tuple(name for name in wanted if not files[name]),
    )


def _channel_file(row: _Row, name: str) -> ChannelFile | None:
    file_name = _text(row.get(f"FileName_{name}"))
    if file_name is None:
        return None
    file = ChannelFile(
        channel=name,
        file_name=file_name,
        path_name=_text(row.get(f"PathName_{name}")),
        url=_text(row.get(f"URL_{name}")),
        height=_size(row.get(f"Height_{name}")),
        width=_size(row.get(f"Width_{name}")),
        series=_whole(row.get(f"Series_{name}")),
        frame=_whole(row.get(f"Frame_{name}")),
        colour=_whole(row.get(f"Channel_{name}")),
    )
    return _whole_zarr(file) if file_name == _FULL_SIZE else file


def _whole_zarr(file: ChannelFile) -> ChannelFile:
    """The Zarr image, where the record is of its full-size level: ``0`` in ``a.ome.zarr``."""
    folders = (form.removesuffix(f"/{_FULL_SIZE}") for form in recorded.forms(file))
    zarr = next((folder for folder in folders if folder.lower().endswith(".zarr")), None)
    if zarr is None:
        return file
    path, _, name = zarr.rpartition("/")
    return replace(file, file_name=name, path_name=path or None, url=None)


def _text(value: object) -> str | None:
    """Text without surrounding white space; None for null, empty and CellProfiler's ``nan``."""
    text = "" if value is None else str(value).strip()
    return None if text in {"", "nan", "None"} else text


def _size(value: object) -> int | None:
    """Read a size in pixels; None for 0, which is no size."""
    return _whole(value) or None


def _whole(value: object) -> int | None:
    """Read a number from 0 on; the table holds it as a number or, verbatim, as text."""
    text = _text(value)
    try:
        number = float(text) if text is not None else -1.0
        return int(number) if number >= 0 and number.is_integer() else None
    except ValueError:
        return None
