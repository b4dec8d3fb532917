"""Tests of cp_assets.building."""
