"""The lock file of a pipeline, and how two branches of it are merged."""
