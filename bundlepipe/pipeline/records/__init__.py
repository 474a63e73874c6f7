"""Records of tasks from earlier runs."""
