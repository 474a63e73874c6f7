"""Divide stale tasks into jobs: `sharding` calls `stale`, `units`, `waves` and `placing`, in this order."""
