"""Deterministic ids that any tool in any language can compute again.

An id is a UUID version 5 (RFC 9562) in the namespace `NAMESPACE` over a canonical string: the JSON
array (UTF-8, no spaces, ``null`` for what is unknown, non-ASCII letters kept) of the id's kind and
its parts in the order of the function's arguments. Nothing of the machine, of a folder's place or
of the order of files enters an id.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cp_assets.datasets.identity import PlateKey

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/cp-assets/cp_assets/ids/v1")
"""Namespace of every id of cp_assets; never changes."""

_Part = str | int | float | None

# json.dumps with options makes a new encoder each time.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_quoted = json.encoder.encode_basestring
_SHA1 = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)


def canonical_string(kind: str, parts: Sequence[_Part]) -> str:
    """The string under an id, for example ``["object","cpg0016",...]``."""
    return _encode([kind, *parts])


def stable_id(kind: str, parts: Sequence[_Part]) -> str:
    """UUIDv5 of the canonical string, as text.

    Equal to ``str(uuid.uuid5(NAMESPACE, canonical_string(kind, parts)))``, several times faster: a
    plate has millions of ids.
    """
    return _uuid(canonical_string(kind, parts))


def _uuid(text: str) -> str:
    sha = _SHA1.copy()
    sha.update(text.encode())
    digest = bytearray(sha.digest()[:16])
    digest[6] = (digest[6] & 0x0F) | 0x50
    digest[8] = (digest[8] & 0x3F) | 0x80
    digits = digest.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def image_set_id(plate: PlateKey, well: str | None, site: str | None, image_set: str | None) -> str:
    """Id of an image set: all channels of one site at one time (column ``image_id``).

    ``image_set`` is None where well and site say which image set it is; else the text that tells it
    from the others, see `cp_assets.measurements.image_sets`.
    """
    parts = [plate.dataset_id, plate.batch_id, plate.plate_id, well, site, image_set]
    return stable_id("image_set", parts)


def object_id(
    image_id: str, compartment: str, object_number: int, box: Sequence[int | float | None]
) -> str:
    """Id of a segmented object (``Metadata_ObjectID``): its image set, number and box.

    ``box`` is x_min, y_min, x_max, y_max in pixels, and z_min, z_max where it was measured in a
    stack; whole numbers are written without a point.
    """
    whole = [int(edge) if edge is not None and float(edge).is_integer() else edge for edge in box]
    return stable_id("object", [image_id, compartment, object_number, *whole])


def source_image_id(image_id: str, channel: str, file_name: str) -> str:
    """Id of one channel's image of an image set (``Metadata_ImageID``)."""
    return stable_id("source_image", [image_id, channel, file_name])


def crop_id(object_id_: str, source_image_id_: str) -> str:
    """Id of a crop (``Metadata_ImageCropID``): an object, with its box, in a source image."""
    return _uuid(f'["crop",{_quoted(object_id_)},{_quoted(source_image_id_)}]')
