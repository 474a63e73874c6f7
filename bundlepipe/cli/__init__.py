"""The command line front end, `bundlepipe`: parse arguments, call a verb, print.

`main` is the entry point. Commands are separate modules, imported when they are run; they may use
everything below. Under a link named `imgpkg` or `kbld` it behaves as that tool.
"""
