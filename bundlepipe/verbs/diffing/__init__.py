"""diff: what differs between two bundles or images; `diff` is the verb, `difference` its result."""
