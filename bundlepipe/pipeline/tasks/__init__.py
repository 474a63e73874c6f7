"""The kinds of tasks: what each does, and when it is up to date."""
