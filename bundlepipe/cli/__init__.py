"""The command line, `bundlepipe`: parse, call a verb, print.

`main` is where it begins. Commands are modules of their own, imported when they are run; they
may use everything below. Under a link named `imgpkg` or `kbld` it behaves as that tool.
"""
