"""The commands of kbld, and those derived from it."""
