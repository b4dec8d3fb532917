"""Whose folder a file lies in: this plate's, another plate's, another well's."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

from cp_assets.datasets.identity import normalise_well
from cp_assets.images import recorded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cp_assets.datasets.model import PlateSources


@dataclass(frozen=True, slots=True)
class PlateFolders:
    """Tells the folders of a plate from those of the plates beside it.

    Attributes
    ----------
    names
        Names of this plate.
    siblings
        Names of the other plates.
    """

    names: tuple[str, ...]
    siblings: tuple[str, ...]

    @classmethod
    def of(cls, sources: PlateSources) -> PlateFolders:
        """Names of a plate, and of those beside it."""
        names = tuple(filter(None, (sources.image_plate, sources.key.plate_id)))
        return cls(names, sources.siblings)

    def of_this_plate(self, candidates: Iterable[str]) -> tuple[str, ...]:
        """Keep the relative paths that may be this plate's.

        Where several fit, those in a folder named like the plate are preferred. What lies in a
        folder named after another plate is never this plate's.
        """
        files = tuple(candidates)
        if len(files) > 1:
            for fits in (_is_name, _starts_with_name):
                chosen = tuple(
                    file
                    for file in files
                    if any(fits(part, name) for part in _folders(file) for name in self.names)
                )
                if chosen:
                    return chosen
        return tuple(file for file in files if not self._is_of_a_sibling(file))

    def _is_of_a_sibling(self, file: str) -> bool:
        """Whether a folder of the file is named after another plate rather than this one."""
        parts = _folders(file)
        return _longest_name(parts, self.siblings) > _longest_name(parts, self.names)


def is_of_another_well(forms: Iterable[str], file: str) -> bool:
    """Whether a recorded path and a file part ways in folders of two wells.

    ``/acquired/A01/TimePoint_1/ch1.tif`` is not ``A02/TimePoint_1/ch1.tif``, whatever else fits.
    """
    return any(map(_in_two_wells, forms, repeat(file)))


def agreement(form: str, file: str) -> tuple[bool, int]:
    """How far a recorded path and a file's path agree: in the base name, and in how many folders.

    Folders count from the file upwards.
    """
    form, file = recorded.composed(form), recorded.composed(file)
    folders = 0
    for theirs, ours in zip(reversed(_folders(form)), reversed(_folders(file)), strict=False):
        if theirs != ours:
            break
        folders += 1
    return recorded.base_name(form) == recorded.base_name(file), folders


def _in_two_wells(form: str, file: str) -> bool:
    pairs = zip(reversed(_folders(form)), reversed(_folders(file)), strict=False)
    theirs, ours = next(((a, b) for a, b in pairs if a != b), ("", ""))
    well = normalise_well(theirs)
    return well is not None and normalise_well(ours) not in {None, well}


def _folders(path: str) -> list[str]:
    return [part for part in path.split("/")[:-1] if part]


def _longest_name(parts: Iterable[str], names: tuple[str, ...]) -> int:
    """Letters of the longest plate name that one of the folders has; 0 for none."""
    return max(
        (len(name) for part in parts for name in names if _starts_with_name(part, name)), default=0
    )


def _is_name(part: str, plate: str) -> bool:
    return part == plate


def _starts_with_name(part: str, plate: str) -> bool:
    """Plate folders carry dates and runs: ``BR1__2021-Measurement1`` is of BR1, BR10 is not."""
    return part.startswith(plate) and not part[len(plate) : len(plate) + 1].isalnum()
