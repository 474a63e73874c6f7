"""The registry store, by the OCI distribution protocol."""
