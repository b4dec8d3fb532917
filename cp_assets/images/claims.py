"""Who a file belongs to, where several records lead to it.

A recorded path is a hint. By a mere name, the records of two wells can lead to one file: that of
the one well whose file is still there. So all records of a plate are looked up first, each as a
claim, and a file that several claim is given only to those that may have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cp_assets.images.plate_folders import agreement

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from cp_assets.images.image_sets import ImageSet

Strength = tuple[bool, bool, int]
"""Whether a rule of the user's says so, whether the base names agree, how many folders agree."""


@dataclass(frozen=True, eq=False, slots=True)
class Claim:
    """One record's claim to a file.

    Attributes
    ----------
    owner, channel
        Whose record it is.
    file
        The file's full path, with ``/``.
    forms
        The recorded paths that led to it.
    identity
        Claims of one identity are about the same thing and may share the file.
    plane
        Series and frame of the file, each counted from 0.
    certain
        Whether the user's own rule, such as a prefix map, leads there: it goes before all others.
    """

    owner: ImageSet
    channel: str
    file: str
    forms: tuple[str, ...]
    identity: Hashable
    plane: tuple[int, int] = (0, 0)
    certain: bool = False

    @property
    def strength(self) -> Strength:
        """How well the record fits the file, by the best of its paths."""
        agreed = max((agreement(form, self.file) for form in self.forms), default=(False, 0))
        return (self.certain, *agreed)

    def __str__(self) -> str:
        return f"{describe(self.owner)}, channel {self.channel}"


@dataclass(frozen=True, eq=False, slots=True)
class Refusal:
    """Why a claim does not get its file.

    Attributes
    ----------
    claim
        The claim that is refused.
    rival
        Another one to the same file.
    outdone
        Whether the rival's recorded path fits the file better; else neither does.
    """

    claim: Claim
    rival: Claim
    outdone: bool


def refusals(claims: Iterable[Claim]) -> list[Refusal]:
    """Settle who gets each file.

    The record that fits the file best has it. Where no record fits better, they share the file if
    they are about the same thing or name different planes; else none has it: it would be a guess.
    """
    by_file: dict[str, list[Claim]] = {}
    for claim in claims:
        by_file.setdefault(claim.file, []).append(claim)
    return [
        refusal for rivals in by_file.values() if len(rivals) > 1 for refusal in _settled(rivals)
    ]


def describe(image_set: ImageSet) -> str:
    """Name an image set for a message: its well and site, else its folder and number."""
    if image_set.well_id is None:
        folder = image_set.source_folder or "."
        return f"ImageNumber {image_set.image_number} of {folder}"
    return f"well {image_set.well_id}, site {image_set.site_id}"


def _settled(rivals: list[Claim]) -> list[Refusal]:
    if len({claim.identity for claim in rivals}) == 1:
        return []
    strengths = {claim: claim.strength for claim in rivals}
    best = _maximal(set(strengths.values()))
    winners = {claim.identity for claim in rivals if strengths[claim] in best}
    kept = [claim for claim in rivals if claim.identity in winners]
    outdone = [Refusal(claim, kept[0], True) for claim in rivals if claim.identity not in winners]
    if _can_share(kept):
        return outdone
    tied = [
        Refusal(claim, next(other for other in kept if other.identity != claim.identity), False)
        for claim in kept
    ]
    return outdone + tied


def _maximal(strengths: set[Strength]) -> set[Strength]:
    """Strengths than which no other is better: at least as good in all parts."""
    return {
        one
        for one in strengths
        if not any(
            all(a >= b for a, b in zip(other, one, strict=True))
            for other in strengths
            if other != one
        )
    }


def _can_share(claims: list[Claim]) -> bool:
    """Whether no two identities want the same plane."""
    by_plane: dict[tuple[int, int], Hashable] = {}
    return all(by_plane.setdefault(one.plane, one.identity) == one.identity for one in claims)
