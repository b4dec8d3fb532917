"""Tests of the room `cp_assets.images`."""
