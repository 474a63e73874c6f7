"""Validate documents against JSON Schemas, with readable messages."""

# Of bundlepipe's own documents.
API_VERSION = "bundlepipe.dev/v1alpha1"
