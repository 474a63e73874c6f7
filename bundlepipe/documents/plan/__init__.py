"""Saved plans: what a run that carries one out reads."""
