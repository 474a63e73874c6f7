"""What bundlepipe does, written against the store protocol.

A verb speaks neither HTTP nor doit: it takes values and stores, and returns what
it did.
"""
