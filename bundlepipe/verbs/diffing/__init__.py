"""diff: what differs between two bundles or images."""
