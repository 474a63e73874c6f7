"""What a builder of images gets: the context of a Dockerfile, and what is asked for."""
