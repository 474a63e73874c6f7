"""describe: list the contents of a bundle."""
