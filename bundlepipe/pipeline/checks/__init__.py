"""Checks of a whole pipeline, before anything runs."""
