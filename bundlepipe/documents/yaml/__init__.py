"""YAML: strict reading with positions, editing in place, reproducible writing."""
