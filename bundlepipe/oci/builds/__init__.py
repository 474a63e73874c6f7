"""Inputs of image builds: the build context of a Dockerfile and the build request."""
