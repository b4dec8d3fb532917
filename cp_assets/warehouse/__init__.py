"""The warehouse: catalog, table schemas, the partition writer, reading.

Knows Iceberg, Parquet and DuckDB, and nothing of microscopes.
"""
