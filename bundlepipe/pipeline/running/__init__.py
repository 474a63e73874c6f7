"""Shared by all task kinds during a run: action, staleness, sources."""
