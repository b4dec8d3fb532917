"""pycytominer takes the joined profiles as they are read back, and only features for features."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pycytominer
import pytest
from pycytominer.cyto_utils import infer_cp_features

import cp_assets
from cp_assets.sample import SampleTruth
from cp_assets.warehouse.warehouse import Warehouse

COMPARTMENTS = ("Cells", "Cytoplasm", "Nuclei")
STRATA = ["Metadata_Plate", "Metadata_Well"]
NEGATIVE = "Metadata_control_type == 'negcon'"
KEY = re.compile(r"Parent_|_(?:Image|Object|Table)Number$|Object_Number|ObjectID|SourceBBox")


@pytest.fixture
def profiles(built: Warehouse) -> pd.DataFrame:
    """The joined profiles of two plates, read back."""
    return built.read_table("joined_profiles").to_pandas()


def measured_columns(folder: Path) -> set[str]:
    """What CellProfiler measured of objects, by the headers of its files, under joined names."""
    found = set()
    for compartment in COMPARTMENTS:
        for name in pd.read_csv(folder / f"{compartment}.csv", nrows=0).columns:
            key = name in {"ImageNumber", "ObjectNumber", "Number_Object_Number"}
            if not key and not name.startswith("Parent_"):
                found.add(f"{compartment}_{name}")
    return found


def assert_features_are(expected: set[str], profiles: pd.DataFrame) -> None:
    features = infer_cp_features(profiles)
    assert set(features) == expected
    assert not [name for name in features if KEY.search(name)]
    assert all(pd.api.types.is_numeric_dtype(profiles[name]) for name in features)


def test_features_of_the_sample_are_what_was_measured(
    profiles: pd.DataFrame, small_sample: SampleTruth
) -> None:
    folder = small_sample.root / profiles["Metadata_SourceFolder"].iloc[0]
    assert_features_are(measured_columns(folder), profiles)
    metadata = set(infer_cp_features(profiles, metadata=True))
    keys = {*STRATA, "Metadata_Site", "Metadata_ObjectID", "Metadata_ObjectNumber"}
    parents = {"Metadata_Cells_Parent_Nuclei", "Metadata_Cytoplasm_Parent_Cells"}
    treatment = {"Metadata_broad_sample", "Metadata_mmoles_per_liter", "Metadata_control_type"}
    assert keys | parents | treatment <= metadata


def test_features_of_a_real_site_are_what_was_measured(test_data: Path, tmp_path: Path) -> None:
    folder = test_data / "cpg0043_BR00116991" / "BR00116991-A01-1"
    warehouse = cp_assets.convert(folder, tmp_path / "warehouse", plate_id="BR00116991")
    profiles = warehouse.read_table("joined_profiles").to_pandas()
    assert_features_are(measured_columns(folder), profiles)
    well = pycytominer.aggregate(profiles)
    assert well[STRATA].to_numpy().tolist() == [["BR00116991", "A01"]]
    expected = profiles[infer_cp_features(profiles)].median()
    pd.testing.assert_series_equal(well[expected.index].iloc[0], expected, check_names=False)


@pytest.mark.parametrize("operation", ["median", "mean"])
def test_aggregate_gives_the_wells_of_pandas(profiles: pd.DataFrame, operation: str) -> None:
    wells = pycytominer.aggregate(profiles, operation=operation, compute_object_count=True)
    features = infer_cp_features(profiles)
    assert set(wells.columns) == {*STRATA, "Metadata_Object_Count", *features}
    grouped = profiles.groupby(STRATA)
    truth = grouped[features].agg(operation).reset_index()
    pd.testing.assert_frame_equal(wells[truth.columns], truth, check_dtype=False)
    assert wells["Metadata_Object_Count"].tolist() == grouped.size().tolist()


@pytest.mark.parametrize("samples", ["all", NEGATIVE])
def test_normalize_gives_the_values_of_pandas(profiles: pd.DataFrame, samples: str) -> None:
    normalized = pycytominer.normalize(profiles, samples=samples, method="standardize")
    features = infer_cp_features(profiles)
    assert infer_cp_features(normalized) == features
    metadata = [name for name in profiles.columns if name.startswith("Metadata_")]
    pd.testing.assert_frame_equal(normalized[metadata], profiles[metadata])
    reference = (profiles if samples == "all" else profiles.query(samples))[features]
    assert 0 < len(reference) <= len(profiles)
    spread = reference.std(ddof=0)
    varied = spread[spread > 1e-9].index
    truth = (profiles[varied] - reference[varied].mean()) / spread[varied]
    np.testing.assert_allclose(normalized[varied], truth, rtol=1e-6, atol=1e-6)


def test_feature_select_leaves_out_features_only(profiles: pd.DataFrame) -> None:
    features = infer_cp_features(profiles)
    absent, constant = features[0], features[1]
    profiles.loc[profiles.index[: len(profiles) // 2], absent] = np.nan
    profiles[constant] = 1.0
    operations = ["drop_na_columns", "variance_threshold"]
    selected = pycytominer.feature_select(profiles, operation=operations)
    left_out = set(profiles.columns) - set(selected.columns)
    assert {absent, constant} <= left_out <= set(features)
    kept = [name for name in features if name not in left_out]
    assert kept
    assert (profiles[kept].var(ddof=0) > 0).all()
    pd.testing.assert_frame_equal(selected[kept], profiles[kept])


def test_the_usual_way_from_cells_to_selected_wells(profiles: pd.DataFrame) -> None:
    normalized = pycytominer.normalize(profiles, samples=NEGATIVE, method="mad_robustize")
    wells = pycytominer.aggregate(normalized)
    operations = ["variance_threshold", "correlation_threshold", "drop_na_columns", "blocklist"]
    selected = pycytominer.feature_select(wells, operation=operations)
    assert len(selected) == profiles.groupby(STRATA).ngroups
    kept = infer_cp_features(selected)
    assert kept
    assert set(kept) < set(infer_cp_features(profiles))
