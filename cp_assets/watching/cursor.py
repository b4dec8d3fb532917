"""What a sensor remembers between two ticks: the plates that are not done with, and where it is.

What is done with is not in here. That a state was seen is in the observations of the plate, that
it was built in its runs: a cursor that is lost, or is one of long ago, costs a second look at the
plates and replays nothing. So it stays small however many plates there are. That matters, since
Dagster keeps the cursor of every tick that requested something.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from cp_assets.datasets.identity import PlateKey
from cp_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "1"

MAX_PENDING = 500
"""Plates that are waited for at a time; others wait for their turn. A cursor of so many has less
than 50 kB."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A plate that is new or changed, from its first look until its run is requested.

    Attributes
    ----------
    digest
        Of the state that was seen last; empty for a plate that was listed and not looked at yet.
    newest, files
        Time of its newest change, seconds since 1970, and how many files it had.
    since
        When that state was seen first, seconds since 1970.
    has_changed
        Whether it was seen in another state before, so that it is built again whatever is there.
    """

    digest: str = ""
    newest: float = 0.0
    files: int = 0
    since: float = 0.0
    has_changed: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a sensor remembers.

    Attributes
    ----------
    pending
        Plates that are not done with.
    last
        Partition key of the plate that was looked at last of those in turn.
    slow
        Partition key of a plate that did not fit into the end of a tick: it begins the next one.
    gone
        Digest of the plates that are known to be gone; empty where none is.
    """

    pending: Mapping[PlateKey, Pending] = field(default_factory=dict)
    last: str = ""
    slow: str = ""
    gone: str = ""

    def to_text(self) -> str:
        """The cursor as Dagster keeps it."""
        pending = {
            key.partition_key: list(asdict(one).values()) for key, one in self.pending.items()
        }
        text = json.dumps([pending, self.last, self.slow, self.gone], separators=(",", ":"))
        packed = base64.b64encode(zlib.compress(text.encode(), level=9)).decode()
        return f"{VERSION}:{packed}"

    @classmethod
    def from_text(cls, text: str | None) -> Cursor:
        """Read a cursor back; None, as on a sensor's first tick, is an empty one.

        Raises
        ------
        ConfigurationError
            If it is none of this version.
        """
        if not text:
            return cls()
        version, _, packed = text.partition(":")
        try:
            # A cursor of another version is not even looked into.
            packed = packed if version == VERSION else ""
            pending, last, slow, gone = json.loads(zlib.decompress(base64.b64decode(packed)))
            plates = {PlateKey.parse(key): Pending(*one) for key, one in pending.items()}
        except (ValueError, TypeError, AttributeError, binascii.Error, zlib.error) as error:
            msg = f"cursor {text[:20]!r} is none of version {VERSION}"
            raise ConfigurationError(msg) from error
        return cls(plates, last, slow, gone)
