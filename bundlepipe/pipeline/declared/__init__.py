"""What a pipeline declares, in YAML or in Python."""
