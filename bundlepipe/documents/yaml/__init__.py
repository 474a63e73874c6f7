"""YAML: read strictly with positions, edited in place, and written."""
