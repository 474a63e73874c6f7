"""Validate documents against JSON Schemas, with readable messages."""
