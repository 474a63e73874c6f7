"""doit's private parts that are used or replaced here, and nowhere else."""
