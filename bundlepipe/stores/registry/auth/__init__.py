"""Authentication with a registry: challenges, token requests and cached tokens."""
