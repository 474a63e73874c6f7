"""Threads, processes and signals: work in parallel, and how it is given up."""
