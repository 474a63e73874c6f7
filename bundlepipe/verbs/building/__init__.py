"""build: build images from Dockerfiles, or with other builders, and push them."""
