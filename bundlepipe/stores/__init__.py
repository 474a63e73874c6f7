"""Where images live: one protocol (`protocol`) and its homes: registries, OCI layouts, tars, the Docker Engine.

Knows the content model and nothing of documents' meaning, verbs or tasks.
"""
