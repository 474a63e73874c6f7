"""build: images of Dockerfiles, and of other builders."""
