from __future__ import annotations

import pytest

from cp_assets.measurements.columns import column_kind, is_key_or_parent


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ImageNumber", "int"),
        ("ObjectNumber", "int"),
        ("Number_Object_Number", "int"),
        ("Parent_Nuclei", "int"),
        ("Children_Cytoplasm_Count", "int"),
        ("Count_Cells", "int"),
        ("Height_DNA", "int"),
        ("Group_Index", "int"),
        ("ModuleError_01Images", "int"),
        ("AreaShape_Area", "float"),
        ("Location_Center_X", "float"),
        ("ExecutionTime_01LoadData", "float"),
        ("Threshold_FinalThreshold_Cells", "float"),
        ("Metadata_Plate", "string"),
        ("FileName_DNA", "string"),
        ("PathName_DNA", "string"),
        ("URL_DNA", "string"),
        ("MD5Digest_DNA", "string"),
    ],
)
def test_column_kind_by_name(name: str, kind: str) -> None:
    assert column_kind(name) == kind


def test_column_kind_said_otherwise() -> None:
    assert column_kind("AreaShape_Area", {"AreaShape_Area": "string"}) == "string"


def test_is_key_or_parent() -> None:
    names = ["ObjectNumber", "Parent_Nuclei", "Number_Object_Number", "AreaShape_Area"]
    assert [is_key_or_parent(name) for name in names] == [True, True, True, False]
