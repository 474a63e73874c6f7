"""Search for images in configuration, by kbld's rules."""
