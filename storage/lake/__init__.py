"""Files under one root, in a folder or on an object store, each committed atomically.

lake           `Lake`: safe paths, listing, reading, writing, removing; opening a lake and checking its version
atomic_writes_and_fences   temporary names, fsync, rename, clean-up; conditions checked before a commit
disk_space     the space left on a lake's disk, when it is low, the error when there is none; what each folder takes
object_store   errors of an object store's client; local copies of its objects
"""
