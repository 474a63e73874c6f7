"""`python -m bundlepipe` is the command `bundlepipe`."""

from bundlepipe.cli.main import main

main()
