"""Pandera schemas and the asset checks that hold them against tables."""
