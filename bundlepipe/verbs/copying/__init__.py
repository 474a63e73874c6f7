"""copy: copy bundles and images, with everything they name, from one location to another."""
