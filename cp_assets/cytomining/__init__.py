"""Cytomining Parquet warehouse roots: written, added to, and held against their specification.

A root is a folder of Parquet files, ``<root>/<namespace>/<table>/*.parquet``, and of
``warehouse_manifest.json``, which says what each table is.
"""
