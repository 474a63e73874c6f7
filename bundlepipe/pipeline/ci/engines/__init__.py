"""What engines of CI take: a module for each, which writes the files of its engine."""
