"""The content model: references, digests, manifests, images and layers as pure values.

Knows nothing of registries, documents or tasks; reads and writes files only to pack them into a
layer or to unpack a layer.
"""
