"""Provenance: etags, permalinks and the manifest."""
