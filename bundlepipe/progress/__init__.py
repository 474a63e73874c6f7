"""What a process shows of its transfers."""
