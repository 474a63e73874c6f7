"""Layers: the tar they are, how it is compressed, and how it becomes files again."""
