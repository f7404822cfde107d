"""Import modules on a free-threaded interpreter and name each one that requires the lock. Stdlib only.

Runs in a child process (``_probe_child.py``) started with ``-v``: then, and only then, CPython prints
``# loading module 'X', which requires the GIL`` for every module that does (Python/import.c,
``_PyImport_CheckGILForModule``). The warning that everybody sees comes for the first one alone, for the
lock stays on after that, and points to ``importlib``. Nothing is printed with ``-X gil`` or PYTHON_GIL,
so the child runs without either.

That line is written through ``sys.stderr``. A wrapper around ``ExtensionFileLoader.create_module``
puts another one there meanwhile, so it also knows from where the module was being imported.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import io
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

REQUIRES = re.compile(r"^# loading module '(.+)', which requires the GIL$", re.MULTILINE)
MACHINERY = ("importlib._bootstrap", "importlib._bootstrap_external", "importlib", "lanewise_probe")

offenders: list[dict[str, Any]] = []


def prepare(_options: dict[str, Any]) -> dict[str, Any]:
    """Put the wrappers in place."""
    if gil_enabled():
        return {"error": "its lock is on from the start (an ordinary build, PYTHON_GIL or -X gil)"}
    if not sys.flags.verbose:
        return {"error": "it was not started with -v"}
    # The first warning is told as an offender like the others, and must not be raised by -W error.
    warnings.filterwarnings(
        "ignore", message=".*global interpreter lock.*", category=RuntimeWarning
    )
    loader = importlib.machinery.ExtensionFileLoader
    for name in ("create_module", "exec_module"):
        setattr(loader, name, watched(getattr(loader, name)))
    # What -v prints otherwise is of no use; crashes are told by faulthandler on descriptor 2.
    sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - because: it is to stay
    return {}


def gil_enabled() -> bool:
    """Whether the lock is on now; it always is on builds that cannot tell."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def watched(original: Callable[..., Any]) -> Callable[..., Any]:
    """The loader's method, noting what it prints."""

    def method(self: importlib.machinery.ExtensionFileLoader, of: Any) -> Any:
        ours, theirs = io.StringIO(), sys.stderr
        known, enabled = len(offenders), gil_enabled()
        sys.stderr = ours
        try:
            return original(self, of)
        finally:
            sys.stderr = theirs
            names = REQUIRES.findall(ours.getvalue())
            # A warning that some module has turned into an error comes instead of the line. What was
            # imported in the course of this has been noted, and is not to be counted twice.
            if not names and not enabled and gil_enabled() and len(offenders) == known:
                names = [self.name]
            offenders.extend(
                {"module": name, "path": self.path, "chain": chain()} for name in names
            )

    return method


def chain() -> list[dict[str, Any]]:
    """The import statements that are being executed, the outermost first."""
    found = []
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - because: the documented way to callers
    while frame is not None:
        name = frame.f_globals.get("__name__", "?")
        if name not in MACHINERY and not frame.f_code.co_filename.startswith("<frozen"):
            found.append({"module": name, "path": frame.f_code.co_filename, "line": frame.f_lineno})
        frame = frame.f_back
    # Below the probe's own frames stands the loop of the child.
    return [one for one in reversed(found) if one["module"] != "__main__"]


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Import one module: ``{"module": "a.b"}``."""
    del offenders[:]
    error = None
    try:
        importlib.import_module(question["module"])
    except BaseException as raised:  # noqa: BLE001 - because: a module may raise SystemExit
        error = f"{type(raised).__name__}: {raised}"
    return {"offenders": list(offenders), "import_error": error}
