"""copy: bundles and images, with all that they name, from one home to another."""
