"""What tasks recorded in earlier runs."""
