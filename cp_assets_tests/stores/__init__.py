"""Tests of the room `cp_assets.stores`."""
