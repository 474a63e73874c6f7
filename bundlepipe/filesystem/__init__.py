"""Files and directories: written whole or not at all, replaced, removed, and looked at for changes."""
