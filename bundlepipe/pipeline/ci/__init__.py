"""The tasks of a plan as a graph of jobs, for the engines of CI."""
