"""Tests of cp_assets.warehouse."""
