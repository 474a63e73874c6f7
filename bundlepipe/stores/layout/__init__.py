"""The OCI image layout as a store."""
