"""JSON Schemas, and what is wrong with a document in words."""
