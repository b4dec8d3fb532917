"""LoadData: the table that told CellProfiler which image files to load for each site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.datasets.identity import normalise_site, normalise_well
from cp_assets.datasets.load_data import LoadDataRow, read_load_data
from cp_assets.images.image_sets import ChannelFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cp_assets.images.image_sets import ImageSet
    from cp_assets.stores import Place

_Site = tuple[str | None, str | None, str | None]
"""Plate, well and site."""


@dataclass(frozen=True)
class LoadData:
    """Recorded image files by plate, well, site and channel.

    Attributes
    ----------
    files
        (plate, well, site) -> channel -> the files that the rows name; more than one where rows
        differ.
    """

    files: Mapping[_Site, Mapping[str, tuple[ChannelFile, ...]]]
    plates: frozenset[str | None]

    @classmethod
    def read(cls, paths: Iterable[Place]) -> LoadData:
        """Read LoadData files (``.csv``, ``.csv.gz``, ``.parquet``); the first to name a file wins.

        Raises
        ------
        MeasurementError
            If a file cannot be read or has no column ``Metadata_Well``.
        """
        merged: dict[_Site, dict[str, tuple[ChannelFile, ...]]] = {}
        for path in paths:
            for site, channels in _by_site(read_load_data(path)).items():
                known = merged.setdefault(site, {})
                for channel, files in channels.items():
                    known.setdefault(channel, files)
        return cls(merged, frozenset(site[0] for site in merged))

    def find(
        self, plate: str, well: str | None, site: str | None, channel: str
    ) -> ChannelFile | None:
        """Find the file of a channel of a site; None where no row or differing rows name it.

        A table of one plate is taken to be this plate's, also where it spells the plate
        differently.
        """
        if plate not in self.plates and len(self.plates) == 1:
            (name,) = self.plates
        else:
            name = plate
        files = self.files.get((name, well, site), {}).get(channel, ())
        return files[0] if len(files) == 1 else None

    def records(
        self, plate: str, image_set: ImageSet, file: ChannelFile
    ) -> tuple[ChannelFile, ...]:
        """List the records of a channel's file, most trusted first: of here, of the Image table."""
        loaded = self.find(plate, image_set.well_id, image_set.site_id, file.channel)
        return (loaded, file) if loaded else (file,)


def _by_site(rows: list[LoadDataRow]) -> dict[_Site, dict[str, tuple[ChannelFile, ...]]]:
    found: dict[_Site, dict[str, tuple[ChannelFile, ...]]] = {}
    for row in rows:
        site = (
            _text(row, "Metadata_Plate"),
            normalise_well(row.get("Metadata_Well") or ""),
            normalise_site(row.get("Metadata_Site") or ""),
        )
        channels = found.setdefault(site, {})
        for file in _row_files(row):
            known = channels.get(file.channel, ())
            if file not in known:
                channels[file.channel] = (*known, file)
    return found


def _row_files(row: LoadDataRow) -> list[ChannelFile]:
    channels = {
        name.partition("_")[2] for name in row if name and name.startswith(("FileName_", "URL_"))
    }
    files = []
    for channel in sorted(channels):
        url = _text(row, f"URL_{channel}")
        file_name = _text(row, f"FileName_{channel}") or (url or "").rsplit("/", 1)[-1]
        if file_name:
            files.append(ChannelFile(channel, file_name, _text(row, f"PathName_{channel}"), url))
    return files


def _text(row: LoadDataRow, name: str) -> str | None:
    return (row.get(name) or "").strip() or None
