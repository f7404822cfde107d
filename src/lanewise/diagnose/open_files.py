"""Room for the kernel's files about many threads: each takes four descriptors."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator

# Of 16,000 threads. Without an end it would be a burden: some programs close all that they might have.
_ENOUGH = 65_536


@contextlib.contextmanager
def many_open_files() -> Iterator[None]:
    """Raise this process's limit as far as it may go and helps, and leave it as it was.

    A program that is started has its own limit before that.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    with contextlib.suppress(OSError, ValueError):
        if soft != resource.RLIM_INFINITY:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
