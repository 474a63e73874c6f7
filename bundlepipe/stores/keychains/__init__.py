"""Where credentials are found: one module for each place.

`credentials` says what a keychain is. Only stores use these.
"""
