"""Import modules on a free-threaded interpreter and name each one that requires the lock. Stdlib only.

Runs in a child process (``_probe_child.py``) started with ``-v``: then, and only then, CPython prints
``# loading module 'X', which requires the GIL`` for every module that does (Python/import.c,
``_PyImport_EnableGILAndWarn``). The warning that everybody sees comes for the first one alone, for the
lock stays on after that, and points to ``importlib``. Nothing is printed with ``-X gil`` or PYTHON_GIL,
so the child runs without either.

That line is written through ``sys.stderr``. A wrapper around ``ExtensionFileLoader.create_module``
puts another one there meanwhile, so it also knows from where the module was being imported.
"""

import importlib
import importlib.machinery
import io
import os
import re
import sys
import warnings

REQUIRES = re.compile(r"^# loading module '(.+)', which requires the GIL$", re.MULTILINE)
MACHINERY = ("importlib._bootstrap", "importlib._bootstrap_external", "importlib", "lanewise_probe")

offenders = []


def prepare(options):
    """Put the wrappers in place."""
    if getattr(sys, "_is_gil_enabled", lambda: True)():
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
    sys.stderr = open(os.devnull, "w")
    return {}


def watched(original):
    """The loader's method, noting what it prints."""

    def method(self, of):
        ours, theirs = io.StringIO(), sys.stderr
        sys.stderr = ours
        try:
            return original(self, of)
        finally:
            sys.stderr = theirs
            for name in REQUIRES.findall(ours.getvalue()):
                offenders.append({"module": name, "path": self.path, "chain": chain()})

    return method


def chain():
    """The import statements that are being executed, the outermost first."""
    found = []
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "?")
        if name not in MACHINERY and not frame.f_code.co_filename.startswith("<frozen"):
            found.append({"module": name, "path": frame.f_code.co_filename, "line": frame.f_lineno})
        frame = frame.f_back
    # Below the probe's own frames stands the loop of the child.
    return [one for one in reversed(found) if one["module"] != "__main__"]


def answer(question):
    """Import one module: ``{"module": "a.b"}``."""
    del offenders[:]
    error = None
    try:
        importlib.import_module(question["module"])
    except BaseException as raised:  # a module may raise anything, SystemExit included
        error = f"{type(raised).__name__}: {raised}"
    return {"offenders": list(offenders), "import_error": error}
