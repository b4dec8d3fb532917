"""Every engine that reads Iceberg reads the warehouse alike."""
