"""Where images live: one protocol (`store`) and its homes, OCI layouts and registries.

Floor 3. Knows the content model and nothing of documents' meaning, verbs or tasks.
"""
