"""The lake: atomic files under one root, in a folder or on an object store."""
