"""The search for images in configuration."""
