"""Real services for tests, as processes on loopback: PostgreSQL, S3, and S3 with faults."""
