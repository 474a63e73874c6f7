"""What several verbs need of bundles, locations and blobs."""
