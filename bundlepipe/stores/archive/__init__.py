"""Read, write and recognise imgpkg's tar files."""
