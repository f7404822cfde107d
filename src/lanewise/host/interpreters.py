"""Whether this Python can run isolated interpreters, each with a lock of its own."""

from __future__ import annotations

import importlib
import platform
import sys
from types import ModuleType

from lanewise.host.facts import free_threaded_build

_SINCE = (3, 14)


def standard_interpreters() -> ModuleType:
    """Return the standard library's module.

    By name, since type checkers look at the oldest Python that lanewise supports, which has none.

    Raises:
        ImportError: There is none.
    """
    return importlib.import_module("concurrent.interpreters")


def why_no_interpreters() -> str | None:
    """Say why calls cannot run in interpreters of their own here; None where they can."""
    if sys.version_info < _SINCE:
        return (
            "interpreters with a lock of their own came to the standard library with Python 3.14, and "
            f"this is {platform.python_version()}. Use the process lane"
        )
    if free_threaded_build():
        return (
            "this is a free-threaded build, on which threads compute side by side and interpreters "
            "have not been proved. Use the thread lane, or the process lane for isolation"
        )
    try:
        interpreters = standard_interpreters()
    except ImportError as error:
        return f"this Python was built without interpreters: {error}. Use the process lane"
    if interpreters.get_current() != interpreters.get_main():
        return (
            "this code runs in an interpreter that is not the main one. Open the runtime in the main "
            "interpreter, and hand results up instead"
        )
    return None
