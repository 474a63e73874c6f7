"""The lock file of a pipeline (`bundlepipe.lock`), and how git merges it."""
