"""The limit of open files of this process: a reader maps every shard of a split, which may be thousands."""

from __future__ import annotations

import resource

from storage.errors import LakeError


def allow_open_files(files: int) -> None:
    """Raise this process's limit of open files; raises `LakeError` when the system does not allow so many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= files:
        return
    if hard != resource.RLIM_INFINITY and hard < files:
        raise LakeError(f"So many shards need {files} open files, and {hard} are allowed; run ulimit -Hn {files}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
