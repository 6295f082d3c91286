"""Files under one root, in a folder or on an object store, each committed atomically.

lake           `Lake`: paths, listing, reading, writing, removing; opening a lake and checking its version
atomic         temporary names, fsync, rename, create-if-absent, clean-up after killed writers, write errors
fences         conditions that are checked just before a commit, such as a lease that is still held
object_store   errors of an object store's client; local copies of its objects
"""
