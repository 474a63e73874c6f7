"""Whether what a verb writes may take the place of what is there."""
