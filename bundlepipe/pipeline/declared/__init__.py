"""The declarations of a pipeline, from YAML or Python."""
