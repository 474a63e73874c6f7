"""Who we are to a registry: challenges answered by tokens, which are kept."""
