"""Files under one root, in a folder or on an object store, each committed atomically.

lake           `Lake`: safe paths, listing, reading, writing, removing; opening a lake and checking its version
atomic         temporary names, fsync, rename, create-if-absent, clean-up after killed writers
disk_space     the space left on a lake's disk, when it is low, and the error when nothing can be written
fences         conditions that are checked just before a commit, such as a lease that is still held
object_store   errors of an object store's client; local copies of its objects
"""
