"""The images that configuration names: resolved, locked, rendered, inspected."""
