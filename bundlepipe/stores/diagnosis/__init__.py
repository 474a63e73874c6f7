"""Diagnose step by step why a registry does not respond."""
