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
    from collections.abc import Iterable, Sequence

    from cp_assets.datasets.identity import PlateKey

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/cp-assets/cp_assets/ids/v1")
"""Namespace of every id of cp_assets; never changes."""

_Part = str | int | float | None

# json.dumps with options makes a new encoder each time.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_quoted = json.encoder.encode_basestring
_SHA1 = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)
_VARIANT = {f"{digit:x}": f"{digit & 3 | 8:x}" for digit in range(16)}


def canonical_string(kind: str, parts: Sequence[_Part]) -> str:
    """The string under an id, for example ``["object","cpg0016",...]``."""
    return _encode([kind, *parts])


def stable_id(kind: str, parts: Sequence[_Part]) -> str:
    """UUIDv5 of the canonical string, as text.

    Equal to ``str(uuid.uuid5(NAMESPACE, canonical_string(kind, parts)))``, several times faster: a
    plate has millions of ids.
    """
    sha = _SHA1.copy()
    sha.update(canonical_string(kind, parts).encode())
    return _uuid(sha)


def _uuid(sha: hashlib._Hash) -> str:
    """Make a UUIDv5 of a hash: with its version and its variant, as RFC 9562 writes it."""
    digits = sha.hexdigest()
    variant = _VARIANT[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


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


def crop_ids(object_ids: Iterable[str], source_image_ids: Iterable[str]) -> list[str]:
    """Ids of crops (``Metadata_ImageCropID``): each object, with its box, in each source image."""
    images = [f",{_quoted(one)}]".encode() for one in source_image_ids]
    ids = []
    for object_id_ in object_ids:
        # What the crops of an object have in common is hashed once.
        common = _SHA1.copy()
        common.update(f'["crop",{_quoted(object_id_)}'.encode())
        for image in images:
            sha = common.copy()
            sha.update(image)
            ids.append(_uuid(sha))
    return ids
