"""`doit watch`: runs when inputs change, each in a process of its own."""
