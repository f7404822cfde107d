"""What is told of this process and its libraries, found out once."""

from __future__ import annotations

import functools
import os
import platform
import time
from typing import Any

from lanewise.host.facts import free_threaded_build, library_version, usable_cores

# Of this module's first import, which is about when the service began.
_STARTED_AT_S = time.time()


@functools.cache
def _unchanging() -> dict[str, Any]:
    return {
        "lanewise_version": library_version(),
        "python_version": platform.python_version(),
        "free_threaded_build": free_threaded_build(),
        "usable_cores": usable_cores(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def process_facts() -> dict[str, Any]:
    """Return what identifies this process. The pid is asked for each time, since a server may fork."""
    return {**_unchanging(), "pid": os.getpid(), "started_at_s": _STARTED_AT_S}
