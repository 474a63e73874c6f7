"""The builders of Dockerfiles: buildx, and the Docker Engine."""
