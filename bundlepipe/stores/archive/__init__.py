"""imgpkg's tar: read, written and recognised."""
