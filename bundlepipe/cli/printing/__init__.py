"""Output of commands: console, tables and narration."""
