"""TLS: which servers are trusted, and what is wrong with those that are not."""
