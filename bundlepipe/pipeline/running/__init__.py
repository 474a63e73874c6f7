"""What the tasks of all kinds have in common in a run: action, staleness, sources."""
