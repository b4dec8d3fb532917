"""The join contract: what links profiles to images, whether a table keeps it, and the join."""
