"""The environment in which workers start."""

from __future__ import annotations

import os
from collections.abc import Mapping

# What native libraries read when they are loaded, to decide how many threads each of their calls uses.
_THREAD_COUNTS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)
# How many runtimes enclose this process: a call may open one of its own, but not without end.
DEPTH = "LANEWISE_DEPTH"
MAX_DEPTH = 3


def worker_environment(base: Mapping[str, str], processes: int, cores: int) -> dict[str, str]:
    """Return the environment for workers, of which so many share so many cores.

    Native thread pools get one worker's part of the cores: N workers with N threads each would fight
    for them. What the user has set stays.
    """
    environment = dict(base)
    for name in _THREAD_COUNTS:
        environment.setdefault(name, str(max(1, cores // processes)))
    environment[DEPTH] = str(depth(base) + 1)
    return environment


def depth(environment: Mapping[str, str] | None = None) -> int:
    """Return how many runtimes enclose this process."""
    try:
        return int((os.environ if environment is None else environment).get(DEPTH, "0"))
    except ValueError:
        return 0
