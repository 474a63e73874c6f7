"""describe: what a bundle consists of."""
