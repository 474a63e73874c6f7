"""Where images live: one protocol (`store`) and its homes: registries, OCI layouts, tars, the Docker Engine.

Floor 3. Knows the content model and nothing of documents' meaning, verbs or tasks.
"""
