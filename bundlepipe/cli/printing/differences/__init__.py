"""A difference of two bundles as text and as Markdown, used by the command `diff`."""
