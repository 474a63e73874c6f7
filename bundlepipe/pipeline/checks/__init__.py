"""What does not fit together in a pipeline, found before anything runs."""
