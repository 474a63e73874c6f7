"""kbld's configuration."""
