"""A layered layout of a graph, in pixels: layers, their order, coordinates, and how all of it fits a screen."""
