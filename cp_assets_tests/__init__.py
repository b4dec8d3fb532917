"""Tests of cp_assets; the folders mirror those of the package."""
