"""The tasks of a pipeline, and what they wait for."""
