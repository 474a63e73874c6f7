"""Plugins of doit: reporter, database, loader, and the command for that database."""
