"""Tests of Dagster's UI on our assets, in a real browser."""
