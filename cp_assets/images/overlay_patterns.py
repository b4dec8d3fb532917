"""``segmentation_file_regex``: the user's own rule of which overlay belongs to which image."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cp_assets.errors import ConfigurationError
from cp_assets.images import recorded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Word:
    """A text to find in a name, on its own or with the letters before it."""

    text: str
    letters: str = ""

    def pattern(self) -> re.Pattern[str]:
        word = f"(?:{re.escape(self.letters)})?{re.escape(self.text)}"
        return re.compile(rf"(?<![^\W_])(?i:{word})(?=$|[\W_]|[A-Z][a-z])")


@dataclass(frozen=True)
class OverlayPattern:
    """One pair of patterns over the files of one overlay folder.

    Where both patterns have the same number of groups, an overlay fits an image whose groups are
    the same, in their order (or by name, where both name the same groups); case and leading zeros
    do not count. Groups that say something else of the two names belong in ``(?:...)``.

    Else every group of the image's pattern, or without groups the whole stem, must be a word of
    the overlay's name: nothing of letters and digits goes on before or after it, but a capitalised
    word may follow. A number may also stand with the letters before it: of ``A01_s1.tif``, group
    ``1`` is found in ``A01-1`` and in ``A01_s1_cells``, but neither in ``A01`` nor in ``ch1``.

    Attributes
    ----------
    overlays
        Relative paths whose base names the overlay's pattern fits, with their stems as they are and
        without case.
    by_groups
        The same by their groups, where groups are compared.
    """

    image: re.Pattern[str]
    names: tuple[str, ...]
    overlays: tuple[tuple[str, str, str], ...]
    by_groups: Mapping[_Key, tuple[str, ...]] | None
    _by_words: dict[tuple[_Word, ...], tuple[str, ...]] = field(default_factory=dict, repr=False)
    _by_image: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def over(
        cls, overlay: re.Pattern[str], image: re.Pattern[str], files: Iterable[str]
    ) -> OverlayPattern:
        """Apply the overlay's pattern to the files of a folder, once."""
        names = _shared_names(overlay, image)
        overlays = []
        by_groups: dict[_Key, list[str]] = {}
        for file in files:
            name = recorded.composed(recorded.base_name(file))
            match = overlay.search(name)
            if match:
                stem = recorded.stem(name)
                overlays.append((file, stem, stem.casefold()))
                by_groups.setdefault(_groups(match, names), []).append(file)
        compared = overlay.groups == image.groups > 0
        groups = {key: tuple(found) for key, found in by_groups.items()} if compared else None
        return cls(image, names, tuple(overlays), groups)

    def of(self, file_name: str) -> tuple[str, ...]:
        """Overlays of an image, by its recorded file name."""
        if file_name not in self._by_image:
            self._by_image[file_name] = self._search(file_name)
        return self._by_image[file_name]

    def _search(self, file_name: str) -> tuple[str, ...]:
        name = recorded.composed(recorded.base_name(recorded.normalise(file_name)))
        match = self.image.search(name)
        if match is None:
            return ()
        if self.by_groups is not None:
            return self.by_groups.get(_groups(match, self.names), ())
        words = _words(match) or (_Word(recorded.stem(name)),)
        if words not in self._by_words:
            self._by_words[words] = self._holding(words)
        return self._by_words[words]

    def _holding(self, words: tuple[_Word, ...]) -> tuple[str, ...]:
        folded = [word.text.casefold() for word in words]
        patterns = [word.pattern() for word in words]
        return tuple(
            file
            for file, stem, plain in self.overlays
            # Most overlays are of other images: told without a regular expression.
            if all(text in plain for text in folded) and all(p.search(stem) for p in patterns)
        )


def compiled(patterns: Mapping[str, str]) -> list[tuple[re.Pattern[str], re.Pattern[str]]]:
    """Compile pairs of patterns: the overlay's name, the image's.

    Raises
    ------
    ConfigurationError
        If one is no regular expression.
    """
    pairs = []
    for overlay, image in patterns.items():
        try:
            pairs.append((re.compile(overlay), re.compile(image)))
        except re.error as error:
            msg = (
                f"segmentation_file_regex {overlay!r}: {image!r} is not a valid pair of regular "
                f"expressions ({error}); expected pattern of the overlay's name -> "
                "pattern of the image's"
            )
            raise ConfigurationError(msg) from error
    return pairs


def _shared_names(overlay: re.Pattern[str], image: re.Pattern[str]) -> tuple[str, ...]:
    """Names of the groups, where both patterns name all of theirs and name the same."""
    same = overlay.groupindex.keys() == image.groupindex.keys()
    return tuple(sorted(image.groupindex)) if same and len(image.groupindex) == image.groups else ()


def _groups(match: re.Match[str], names: tuple[str, ...]) -> _Key:
    """Groups to compare: in lower case, numbers without leading zeros."""
    values = [match[name] for name in names] if names else match.groups()
    return tuple(
        re.sub(r"\d+", lambda number: str(int(number[0])), (value or "").strip().casefold())
        for value in values
    )


def _words(match: re.Match[str]) -> tuple[_Word, ...]:
    """Groups that hold something; numbers with the letters before them."""
    words = []
    for number, value in enumerate(match.groups(), start=1):
        if value and value.strip():
            before = re.search(r"[^\W\d_]*$", match.string[: match.start(number)])
            words.append(_Word(value, before[0] if before and value[0].isdigit() else ""))
    return tuple(words)
