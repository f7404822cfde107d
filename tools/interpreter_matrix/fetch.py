"""Getting the versions that are missing, one process at a time, each its own way."""

from __future__ import annotations

import fcntl
from pathlib import Path

from .build_free_threaded import build_free_threaded
from .find import is_there
from .job import Job, remove_tree
from .machine import say
from .sid_root import make_sid_root
from .versions import SID, SOURCE_BUILT, Unavailable


def fetch(missing: list[str], cache: Path) -> dict[str, str]:
    reasons: dict[str, str] = {}
    with open(cache / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another `interpreters ensure`")
            fcntl.flock(lock, fcntl.LOCK_EX)
        # With the lock held, whatever is half made is nobody's any more.
        for stale in cache.glob(".partial-*"):
            remove_tree(stale)
        job = Job(cache, lock.fileno())
        groups = [[v] for v in missing if v in SOURCE_BUILT] + [[v for v in missing if v in SID]]
        for group in filter(None, groups):
            # The one waited for may have fetched these meanwhile.
            needed = [version for version in group if not is_there(version, cache)]
            try:
                if not needed:
                    continue
                if needed[0] in SOURCE_BUILT:
                    build_free_threaded(needed[0], job)
                else:
                    reasons.update(make_sid_root(needed, job))
            except Unavailable as why:
                reasons.update({version: str(why) for version in needed})
    return reasons
