"""The files of a new pipeline, made of what there is in a directory."""
