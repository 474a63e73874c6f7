"""What bundlepipe does, one module a verb, written against the store protocol.

Floor 4. A verb speaks neither HTTP nor doit: it takes values and stores, and returns what
it did.
"""
