"""The verbs of bundlepipe (push, pull, copy, lock, ...), written against the store protocol.

A verb uses neither HTTP nor doit: it takes values and stores, and returns what it did.
"""
