"""The Docker Engine as a store."""
