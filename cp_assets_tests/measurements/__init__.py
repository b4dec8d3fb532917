"""Tests of cp_assets.measurements."""
