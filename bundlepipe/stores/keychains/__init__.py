"""Keychains: sources of credentials, one module for each.

`credentials` defines the protocol. Only stores use keychains.
"""
