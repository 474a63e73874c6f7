"""The task kinds, one module each: what a task does, and when it is up to date."""
