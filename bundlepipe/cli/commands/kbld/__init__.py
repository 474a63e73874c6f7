"""The commands that are kbld's, or come of it."""
