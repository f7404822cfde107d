"""Import modules in interpreters that have a lock of their own. Stdlib only.

Runs in a child process (``_probe_child.py``): an interpreter that goes wrong, or that refuses to end,
does so here. Each module gets an interpreter of its own, so that none finds what another left.
"""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any

# The code that runs inside. Its answer comes back as an exception or as none: that works with each
# version's module, whereas channels and queues were renamed from version to version.
IMPORT = """\
import sys
sys.path[:] = {path!r}
try:
    import importlib
    importlib.import_module({module!r})
except BaseException as error:
    chain = []
    while error is not None and len(chain) < 10:
        chain.append(type(error).__name__ + ': ' + ' '.join(str(error).split()))
        error = error.__cause__ or error.__context__
    raise RuntimeError('lanewise: ' + ' <- '.join(chain)) from None
"""
MARK = "lanewise: "
# Python/import.c: _PyImport_CheckSubinterpIncompatibleExtensionAllowed.
REFUSAL = re.compile(r"module \S+ does not support loading in subinterpreters")
MOST_CHARACTERS = 300


def prepare(_options: dict[str, Any]) -> dict[str, Any]:
    """Find this version's way to isolated interpreters, and see that it works."""
    if sys.version_info < (3, 12):
        version = ".".join(map(str, sys.version_info[:2]))
        return {
            "unusable": f"CPython {version} has no interpreters with a lock of their own (from 3.12)"
        }
    try:
        run("pass")
    except Exception as error:  # noqa: BLE001 - because: whatever it is, it is the reason
        return {"unusable": f"no interpreter can be created: {type(error).__name__}: {error}"}
    return {"unusable": None}


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Import one module: ``{"module": "a.b", "isolated": true}``; otherwise in this interpreter."""
    if not question["isolated"]:
        try:
            importlib.import_module(question["module"])
        except BaseException as error:  # noqa: BLE001 - because: a module may raise SystemExit
            return {"failure": f"{type(error).__name__}: {error}"}
        return {"failure": None}
    failure = imported(question["module"])
    if failure is not None:
        return {"failure": failure}
    # What C code keeps for the process is found by the second one: a pool has several.
    again = imported(question["module"])
    return {"failure": None if again is None else f"only the first time in a process: {again}"}


def imported(module: str) -> str | None:
    """Import a module in a new isolated interpreter; what went wrong, or None."""
    try:
        failure = run(IMPORT.format(path=sys.path, module=module))
    except Exception as error:  # noqa: BLE001 - because: whatever it is, it is the answer
        failure = f"{type(error).__name__}: {error}"
    if failure is not None and MARK in failure:
        failure = failure.partition(MARK)[2].strip().splitlines()[0]
        # Packages wrap the refusal in advice of their own; the refusal names the module.
        refusal = REFUSAL.search(failure)
        failure = refusal[0] if refusal else failure.split(" <- ")[0][:MOST_CHARACTERS]
    return failure


def run(code: str) -> str | None:
    """Run code in a new isolated interpreter; what went wrong in it, or None."""
    if sys.version_info >= (3, 14):
        return run_314(code)
    return run_313(code) if sys.version_info >= (3, 13) else run_312(code)


def run_314(code: str) -> str | None:
    """With the public module (PEP 734), whose interpreters are isolated."""
    interpreters = importlib.import_module("concurrent.interpreters")
    interpreter = interpreters.create()
    try:
        interpreter.exec(code)
    except interpreters.ExecutionFailed as error:
        return str(error)
    finally:
        interpreter.close()
    return None


def run_313(code: str) -> str | None:
    """With the private module that the public one rests on."""
    interpreters = importlib.import_module("_interpreters")
    identifier = interpreters.create("isolated")
    try:
        failure = interpreters.exec(identifier, code)
    finally:
        interpreters.destroy(identifier)
    return None if failure is None else str(failure.formatted)


def run_312(code: str) -> str | None:
    """With its predecessor. In 3.11 the same call makes one that shares the lock."""
    interpreters = importlib.import_module("_xxsubinterpreters")
    identifier = interpreters.create(isolated=True)
    try:
        interpreters.run_string(identifier, code)
    except interpreters.RunFailedError as error:
        return str(error)
    finally:
        interpreters.destroy(identifier)
    return None
