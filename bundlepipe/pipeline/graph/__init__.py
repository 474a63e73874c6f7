"""The graph of a pipeline's tasks: groups, and edges between tasks."""
