"""The files of `docker/`: held against their own validators, and run as processes."""
