"""Threads, processes and signals: parallel work, its cancellation, and orderly termination."""
