-- The warehouse's Iceberg catalog, beside Dagster's own database on the same server.
CREATE DATABASE catalog;
