"""Layers: write, compress, decompress and unpack them."""
