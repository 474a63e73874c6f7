"""Whether an output of a verb may replace existing files."""
