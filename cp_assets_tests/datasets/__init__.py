"""Tests of cp_assets.datasets."""
