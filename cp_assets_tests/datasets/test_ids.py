from __future__ import annotations

import json
import uuid

from hypothesis import given
from hypothesis import strategies as st

from cp_assets.datasets import PlateKey
from cp_assets.datasets.ids import (
    NAMESPACE,
    canonical_string,
    crop_ids,
    image_set_id,
    object_id,
    source_image_id,
    stable_id,
)

KEY = PlateKey("cpg0016", "2021_04_26_Batch1", "BR00117035")
FIRST_ID = "83e169ad-aec2-5188-9092-4fc5008ef7d7"


def documented(*parts: object) -> str:
    """The id as the documentation says, by the standard library alone."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return str(uuid.uuid5(NAMESPACE, text))


@given(st.text(), st.lists(st.one_of(st.none(), st.integers(), st.text()), max_size=5))
def test_stable_id_is_uuid5_of_the_canonical_string(
    kind: str, parts: list[str | int | None]
) -> None:
    try:
        expected = str(uuid.uuid5(NAMESPACE, canonical_string(kind, parts)))
    except UnicodeEncodeError:
        return
    assert stable_id(kind, parts) == expected


def test_ids_are_what_the_documentation_says() -> None:
    plate = ("cpg0016", "2021_04_26_Batch1", "BR00117035")
    image = image_set_id(KEY, "A01", "1", None)
    assert image == documented("image_set", *plate, "A01", "1", None)
    cell = object_id(image, "Cells", 7, (1.0, 2, 30.5, None))
    assert cell == documented("object", image, "Cells", 7, 1, 2, 30.5, None)
    source = source_image_id(image, "DNA", "ü image.tif")
    assert source == documented("source_image", image, "DNA", "ü image.tif")
    other = source_image_id(image, "ER", "b.tif")
    assert crop_ids([cell, 'odd "é"'], [source, other]) == [
        documented("crop", one, of) for one in (cell, 'odd "é"') for of in (source, other)
    ]


def test_ids_never_change() -> None:
    # The same on every machine, in every version: ids in published warehouses must stay valid.
    assert str(NAMESPACE) == str(
        uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/cp-assets/cp_assets/ids/v1")
    )
    assert canonical_string("image_set", ["a", None, 1]) == '["image_set","a",null,1]'
    assert image_set_id(KEY, "A01", "1", None) == FIRST_ID
