"""The distribution protocol: a registry as a store."""
