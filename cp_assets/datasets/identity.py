"""Who is who: plates, wells and sites, and the partition key that carries a plate through Dagster.

A plate is known by (dataset, batch, plate). The three travel as one partition key,
``dataset_id/batch_id/plate_id``. Dagster's UI splits keys on commas, reads ``*``, ``[``, ``]`` and
quotes as wildcards and ranges, and ``|`` separates the dimensions of multi-partitions, so a key is
made of safe characters only: letters, digits, ``_``, ``-``, ``+`` and ``.``; every other byte of
the UTF-8 name is written ``~XX`` in hexadecimal. That is reversible, and ``~`` needs no escape in a
URL.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from cp_assets.datasets.csv_text import NULLS
from cp_assets.errors import ConfigurationError

_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+.")
_WHOLE = re.compile(r"(\d+)\.0+")
_KEY_PART = re.compile(r"(?:[A-Za-z0-9_\-+.]|~[0-9A-F]{2})+")
_WELL = re.compile(r"\s*([A-Za-z]{1,2})[-_ ]?(\d{1,3})\s*")
# No dash between word and number: it may be a minus.
_SITE = re.compile(r"(?:(?:site|field|fov|s|f)[_ ]*)?(\d{1,18})(?:\.0+)?", re.IGNORECASE)

PLATE_COLUMNS = (
    "Metadata_Plate",
    "Metadata_PlateName",
    "Metadata_Plate_Name",
    "Metadata_Assay_Plate_Barcode",
)
"""Columns of an Image table that name its plate, the first that is there."""

WELL_ROWS = 32
"""Rows of the largest plate, 1536 wells: A to Z, then AA to AF."""

WELL_COLUMNS = 48
"""Columns of the largest plate, 1536 wells."""


def _encode(part: str) -> str:
    if part in {".", ".."}:
        return "".join("~2E" for _ in part)
    return "".join(chr(byte) if byte in _SAFE else f"~{byte:02X}" for byte in part.encode())


def _decode(part: str) -> str:
    raw = re.sub(rb"~([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), part.encode())
    return raw.decode()


@dataclass(frozen=True, order=True, slots=True)
class PlateKey:
    """The identity of a plate: the unit of work, of commit and of backfill.

    Raises
    ------
    ConfigurationError
        If a part is empty or holds a control character.
    """

    dataset_id: str
    batch_id: str
    plate_id: str

    def __post_init__(self) -> None:
        for name in ("dataset_id", "batch_id", "plate_id"):
            value = getattr(self, name)
            if not value or any(letter < " " for letter in value):
                msg = f"{name} is {value!r}: expected a name without control characters"
                raise ConfigurationError(msg)

    @property
    def partition_key(self) -> str:
        """The key in Dagster, ``dataset_id/batch_id/plate_id`` with unsafe bytes as ``~XX``."""
        return "/".join(_encode(part) for part in (self.dataset_id, self.batch_id, self.plate_id))

    @classmethod
    def parse(cls, partition_key: str) -> PlateKey:
        """Read a partition key back.

        Raises
        ------
        ConfigurationError
            If the key does not have three parts of safe characters.
        """
        parts = partition_key.split("/")
        if len(parts) != len(cls.__slots__) or not all(_KEY_PART.fullmatch(part) for part in parts):
            msg = (
                f"partition key {partition_key!r} is not dataset_id/batch_id/plate_id with "
                "letters, "
                "digits, _ - + . and ~XX for every other byte; `cp-assets plates` lists the keys"
            )
            raise ConfigurationError(msg)
        try:
            return cls(*(_decode(part) for part in parts))
        except UnicodeDecodeError as error:
            msg = f"partition key {partition_key!r} does not decode to UTF-8 text"
            raise ConfigurationError(msg) from error

    def columns(self) -> dict[str, str]:
        """The plate's partition columns and their values."""
        return {
            "dataset_id": self.dataset_id,
            "batch_id": self.batch_id,
            "plate_id": self.plate_id,
        }

    def __str__(self) -> str:
        return self.partition_key


def row_letters(row: int) -> str:
    """Letters of a plate row counted from 0: 0 is A, 25 is Z, 26 is AA, 31 is AF."""
    letters = string.ascii_uppercase
    return letters[row] if row < len(letters) else f"A{letters[row - len(letters)]}"


def row_number(letters: str) -> int:
    """Plate row counted from 0 of its letters; the inverse of `row_letters`."""
    letters = letters.upper()
    return (
        ord(letters) - 65
        if len(letters) == 1
        else 26 * (ord(letters[0]) - 64) + ord(letters[1]) - 65
    )


def without_point(text: str) -> str:
    """A whole number without its point, any other text as it is, without space around it.

    pandas writes names such as ``1053597806`` as ``1053597806.0`` beside missing ones.
    """
    found = _WHOLE.fullmatch(text.strip())
    return found[1] if found else text.strip()


def plate_name(text: str) -> str | None:
    """The plate that a text names; None where it stands for no value, such as ``nan``."""
    name = without_point(text)
    return None if name in NULLS else name


def plate_of_image_folder(name: str) -> str:
    """The plate of a full plate name, as the gallery's image folders are called.

    ``BR00117035__2021-05-02T16_02_51-Measurement1`` is a measurement of ``BR00117035``.
    """
    return name.partition("__")[0]


def normalise_well(text: str) -> str | None:
    """The well's standard name, letters then two digits, or None if the text names no well.

    ``a1``, ``A01``, ``a01`` and ``A-1`` are all ``A01``. Plates up to 1536 wells are known: rows A
    to AF, columns 1 to 48.
    """
    found = _WELL.fullmatch(text)
    if not found:
        return None
    row, column = row_number(found[1]), int(found[2])
    if row >= WELL_ROWS or not 1 <= column <= WELL_COLUMNS:
        return None
    return f"{row_letters(row)}{column:02d}"


def normalise_site(text: str) -> str | None:
    """The site's number without leading zeros, or its name; None if the text is empty.

    ``1``, ``01``, ``1.0``, ``s1``, ``S01``, ``site_1``, ``f01`` and ``FOV1`` are the same site.
    Other text stays as it is: some microscopes give sites names, and ``-1`` is not ``1``.
    """
    text = text.strip()
    found = _SITE.fullmatch(text)
    return str(int(found[1])) if found else text or None


def well_sort_key(well: str | None) -> tuple[int, int, str]:
    """Order wells as a plate is read: row, then column; unknown wells last."""
    found = _WELL.fullmatch(well or "")
    if not found:
        return (WELL_ROWS, 0, well or "")
    return (row_number(found[1]), int(found[2]), "")


def site_sort_key(site: str | None) -> tuple[int, int, str]:
    """Order sites by number where they are numbers, then by name; unknown sites last."""
    if site is None:
        return (2, 0, "")
    found = _SITE.fullmatch(site)
    return (0, int(found[1]), "") if found else (1, 0, site)


def split_site_folder(folder: str, plate: str) -> tuple[str | None, str | None]:
    """Well and site of a folder ``<plate>-<well>-<site>`` or ``<plate>-<well>``.

    The plate's own name may hold dashes. Behind another name the site has to be there and a number,
    else ``results-v2`` would be a well. Returns (None, None) for a folder of another form.
    """
    if not folder.startswith(f"{plate}-"):
        found = re.fullmatch(r".+-([A-Za-z]{1,2}\d{1,2})-([^-]+)", folder)
        is_site = found is not None and _SITE.fullmatch(found[2]) is not None
        well_text, site_text = (found[1], found[2]) if found and is_site else ("", None)
    else:
        well_text, _, rest = folder[len(plate) + 1 :].partition("-")
        site_text = rest or None
    well = normalise_well(well_text)
    if well is None:
        return None, None
    return well, normalise_site(site_text) if site_text else None
