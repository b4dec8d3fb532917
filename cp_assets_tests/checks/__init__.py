"""Tests of the upper floor and of the whole."""
