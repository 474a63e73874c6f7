"""Files and directories: write atomically, replace, remove, detect changes."""
