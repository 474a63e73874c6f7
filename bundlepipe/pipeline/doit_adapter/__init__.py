"""All uses and replacements of doit's private parts."""
