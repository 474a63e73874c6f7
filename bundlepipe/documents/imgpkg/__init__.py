"""imgpkg's documents: ImagesLock, BundleLock, Bundle, ImageLocations."""
