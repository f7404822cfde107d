"""A Ray of one's own, on this machine: no port beyond the loopback address, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from typing import Any

from _lanewise_worker.orphans import children, kill_tree

# What Ray reads when it is imported and when it starts its processes.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # "No cluster beyond this machine": the only way to have every server listen on the loopback
    # address alone. An address that is merely given as 127.0.0.1 is replaced by the machine's own.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    # Ray would kill the process that holds a node's workers; the kernel kills the one that is too large.
    "RAY_memory_monitor_refresh_ms": "0",
}
_ENDING_S = 3.0


def private_environment() -> dict[str, str]:
    """Return the environment for the process that starts a private Ray, its own secret included."""
    return {**_ENVIRONMENT, "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def start_options(cpus: float, directory: str, object_store_bytes: int) -> dict[str, Any]:
    """Return the arguments of ``ray.init`` for a private Ray."""
    return {
        "address": "local",
        "num_cpus": max(1, int(cpus)),
        "object_store_memory": object_store_bytes,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
        "_temp_dir": directory,
    }


def clear_away(directory: str) -> None:
    """Kill what this process has started and that still runs; remove the directory of the private Ray."""
    until_s = time.monotonic() + _ENDING_S
    while time.monotonic() < until_s:
        left = children()
        if not left:
            break
        for pid in left:
            kill_tree(pid)
        _reap()
        time.sleep(0.01)
    remove(directory)


def remove(directory: str) -> None:
    """Remove a directory; what cannot be removed stays."""
    if directory:
        shutil.rmtree(directory, ignore_errors=True)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
