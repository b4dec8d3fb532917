"""Cutting one image set: windows of its channels and their overlays, as batches of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from cp_assets.errors import ImageReadError
from cp_assets.images.columns import BATCH_BYTES, Pieces, payload_columns
from cp_assets.payloads.building import MAX_BATCH_BYTES
from cp_assets.stages import timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from cp_assets.images.loaded import LoadedChannel, LoadedImageSet, LoadedOverlay
    from cp_assets.images.readers import Pixels, Shape5
    from cp_assets.images.windows import Fault, Placements
    from cp_assets.rejections import Rejection


class Subjects(ABC):
    """What is cut of an image set: its objects, or its images whole.

    Attributes
    ----------
    kind, compartment
        What one of them in one channel is for the books.
    numbers
        The objects' numbers; a single None for whole images.
    together
        Whether all channels of a subject are cut at once, into one batch.
    id_column
        The column that becomes the payloads' id.
    """

    kind: Literal["crop", "image"]
    compartment: str | None
    numbers: Sequence[int | None]
    together: bool
    id_column: str

    @abstractmethod
    def place(self, shape: Shape5) -> Placements:
        """What is cut from images of a shape (T, C, Z, Y, X)."""

    def faults(self, placements: Placements, shape: Shape5) -> dict[int, Fault]:
        """Row -> why it cannot be cut from images of a shape; nothing where all can be."""
        return {}

    @abstractmethod
    def columns(self, loaded: LoadedImageSet) -> Mapping[str, pa.Array]:
        """All columns but the payloads, a row for each subject and, within it, each channel."""


@dataclass(eq=False, slots=True)
class Cutting:
    """The cutting of one image set.

    Attributes
    ----------
    schema
        Of the batches.
    written, rejections
        Complete when `batches` has ended.
    """

    subjects: Subjects
    loaded: LoadedImageSet
    schema: pa.Schema
    written: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    @property
    def expected(self) -> int:
        """Rows that the image set should give."""
        channels = len(self.loaded.channels) + len(self.loaded.faults)
        return len(self.subjects.numbers) * channels

    def batches(self) -> Iterable[pa.RecordBatch]:
        """Cut one after the other, in whole objects a batch; the image set is closed afterwards."""
        made = timed("cutting", self._made(), lambda batch: batch.nbytes)
        # What is too large to wait here is cut while it is written.
        return list(made) if self.loaded.cut_at_once else made

    def _made(self) -> Iterator[pa.RecordBatch]:
        self.rejections.extend(self.loaded.incomplete)
        for fault in self.loaded.faults:
            self._reject((fault.reason, fault.detail), fault.channel, fault.source_file)
        with self.loaded:
            if self.loaded.channels:
                rows = self._rows()
                for pieces in self._pieces():
                    self.written += len(pieces)
                    yield self._batch(rows, pieces)

    def _pieces(self) -> Iterator[Pieces]:
        """Cut each subject; whole subjects, about `BATCH_BYTES` of them, are a batch."""
        batch, size = Pieces(), 0
        for channels in self._cut_together():
            too_large = self._too_large(channels)
            for row in range(len(self.subjects.numbers)):
                before = len(batch)
                new = self._cut(row, channels, too_large.get(row), batch)
                if before and size + new > BATCH_BYTES:
                    following = batch.split(before)
                    yield batch
                    batch, size = following, 0
                size += new
        if batch:
            yield batch

    def _cut_together(self) -> list[list[_Channel]]:
        channels = [self._channel(number) for number in range(len(self.loaded.channels))]
        return [channels] if self.subjects.together else [[channel] for channel in channels]

    def _channel(self, number: int) -> _Channel:
        channel = self.loaded.channels[number]
        shape = channel.pixels.shape
        placements = self.subjects.place(shape)

        def cutter(overlay: LoadedOverlay | None) -> Callable[[int], Pixels] | None:
            return placements.cutter(overlay.pixels) if overlay else None

        return _Channel(
            number=number,
            loaded=channel,
            placements=placements,
            faults=self.subjects.faults(placements, shape),
            image=placements.cutter(channel.pixels),
            mask=cutter(channel.mask),
            outline=cutter(channel.outline),
        )

    def _too_large(self, channels: Sequence[_Channel]) -> dict[int, Fault]:
        """Subjects that cannot be cut from the channels at once, for want of memory."""
        areas = np.stack([channel.placements.areas for channel in channels])
        each = np.array([channel.loaded.bytes_per_pixel for channel in channels])
        sizes = areas.max(axis=0) * (each @ (areas > 0))
        room = self.loaded.room
        # Pixels are held twice, as cut and as payloads.
        large = np.flatnonzero((2 * sizes > room) | (sizes > MAX_BATCH_BYTES))
        return {
            row: _image_too_large(channels[int(areas[:, row].argmax())].placements, row, size, room)
            for row, size in zip(large.tolist(), sizes[large].tolist(), strict=True)
        }

    def _cut(
        self, row: int, channels: Sequence[_Channel], too_large: Fault | None, batch: Pieces
    ) -> int:
        """Cut one subject from each channel that its window fits; gives its bytes in the batch."""
        size = 0
        for channel in channels:
            loaded = channel.loaded
            fault = too_large or channel.faults.get(row)
            if fault is None:
                try:
                    image = channel.image(row)
                except ImageReadError as error:
                    fault = "unreadable_image", str(error)
            if fault is not None:
                self._reject(fault, loaded.name, loaded.found.relative, row)
                continue
            size += batch.add(
                row * len(self.loaded.channels) + channel.number,
                loaded,
                image,
                channel.mask and self._overlay(row, loaded, channel.mask),
                channel.outline and self._overlay(row, loaded, channel.outline),
            )
        return size

    def _overlay(
        self, row: int, channel: LoadedChannel, cut: Callable[[int], Pixels]
    ) -> Pixels | None:
        try:
            return cut(row)
        except ImageReadError as error:
            self.rejections.append(
                self.loaded.image_set.rejection(
                    "image",
                    "unreadable_overlay",
                    f"{error}; it is left empty",
                    outcome="incomplete",
                    object_number=self.subjects.numbers[row],
                    channel=channel.name,
                )
            )
            return None

    def _reject(
        self, fault: Fault, channel: str, source_file: str | None, row: int | None = None
    ) -> None:
        """Reject one subject in one channel, or all of them in one entry."""
        numbers = self.subjects.numbers
        self.rejections.append(
            self.loaded.image_set.rejection(
                self.subjects.kind,
                *fault,
                compartment=self.subjects.compartment,
                object_number=None if row is None else numbers[row],
                channel=channel,
                source_file=source_file,
                count=len(numbers) if row is None else 1,
            )
        )

    def _rows(self) -> pa.RecordBatch:
        """All rows that the image set should give, without payloads."""
        columns = self.subjects.columns(self.loaded)
        fields = [field for field in self.schema if field.name in columns]
        arrays = [_as_type(columns[field.name], field.type) for field in fields]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))

    def _batch(self, rows: pa.RecordBatch, pieces: Pieces) -> pa.RecordBatch:
        first, last = pieces.rows[0], pieces.rows[-1]
        if last - first + 1 == len(pieces):
            there = rows.slice(first, len(pieces))
        else:
            there = rows.take(pa.array(pieces.rows))
        columns = dict(zip(there.schema.names, there.columns, strict=True))
        columns |= payload_columns(pieces, there, there[self.subjects.id_column])
        return pa.RecordBatch.from_arrays(
            [columns[name] for name in self.schema.names], schema=self.schema
        )


@dataclass(frozen=True, eq=False, slots=True)
class _Channel:
    """One channel, and what cuts from it.

    Attributes
    ----------
    faults
        Row -> why it cannot be cut from this channel.
    image, mask, outline
        Row -> pixels.
    """

    number: int
    loaded: LoadedChannel
    placements: Placements
    faults: Mapping[int, Fault]
    image: Callable[[int], Pixels]
    mask: Callable[[int], Pixels] | None
    outline: Callable[[int], Pixels] | None


def _as_type(values: pa.Array, kind: pa.DataType) -> pa.Array:
    return values if values.type == kind else values.cast(kind)


def _image_too_large(placements: Placements, row: int, size: int, room: int) -> Fault:
    z, y, x = np.diff(placements.windows[row]).ravel().tolist()
    detail = (
        f"window of {x} x {y} x {z} pixels (x by y by z): with masks and outlines it takes "
        f"{2 * size / 2**20:.0f} MiB in memory, {room / 2**20:.0f} MiB of max_memory are left "
        f"(and one batch holds {MAX_BATCH_BYTES / 2**20:.0f} MiB at most); raise max_memory, or "
        "lower padding or crop_size"
    )
    return "image_too_large", detail
