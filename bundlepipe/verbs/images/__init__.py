"""Images in configuration: resolve, lock, render and inspect them."""
