"""Tests of cp_assets.provenance."""
