"""Import modules in interpreters that have a lock of their own. Stdlib only.

Runs in a child process (``_probe_child.py``): an interpreter that goes wrong, or that refuses to end,
does so here. Each module gets an interpreter of its own, so that none finds what another left.
"""

import importlib
import sys

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
        chain.append(type(error).__name__ + ': ' + str(error))
        error = error.__cause__ or error.__context__
    raise RuntimeError('lanewise: ' + ' <- '.join(chain)) from None
"""
MARK = "lanewise: "


def prepare(options):
    """Find this version's way to isolated interpreters, and see that it works."""
    if sys.version_info < (3, 12):
        version = ".".join(map(str, sys.version_info[:2]))
        return {
            "unusable": f"CPython {version} has no interpreters with a lock of their own (from 3.12)"
        }
    try:
        run("pass")
    except Exception as error:
        return {"unusable": f"no interpreter can be created: {type(error).__name__}: {error}"}
    return {"unusable": None}


def answer(question):
    """Import one module: ``{"module": "a.b", "isolated": true}``; otherwise in this interpreter."""
    if not question["isolated"]:
        try:
            importlib.import_module(question["module"])
        except BaseException as error:  # a module may raise anything, SystemExit included
            return {"failure": f"{type(error).__name__}: {error}"}
        return {"failure": None}
    try:
        failure = run(IMPORT.format(path=sys.path, module=question["module"]))
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    if failure is not None and MARK in failure:
        failure = failure.partition(MARK)[2].strip().splitlines()[0]
    return {"failure": failure}


def run(code):
    """Run code in a new isolated interpreter; what went wrong in it, or None."""
    if sys.version_info >= (3, 14):
        return run_314(code)
    return run_313(code) if sys.version_info >= (3, 13) else run_312(code)


def run_314(code):
    """With the public module (PEP 734), whose interpreters are isolated."""
    from concurrent import interpreters

    interpreter = interpreters.create()
    try:
        interpreter.exec(code)
    except interpreters.ExecutionFailed as error:
        return str(error)
    finally:
        interpreter.close()
    return None


def run_313(code):
    """With the private module that the public one rests on."""
    import _interpreters

    identifier = _interpreters.create("isolated")
    try:
        failure = _interpreters.exec(identifier, code)
    finally:
        _interpreters.destroy(identifier)
    return None if failure is None else str(failure.formatted)


def run_312(code):
    """With its predecessor. In 3.11 the same call makes one that shares the lock."""
    import _xxsubinterpreters

    identifier = _xxsubinterpreters.create(isolated=True)
    try:
        _xxsubinterpreters.run_string(identifier, code)
    except _xxsubinterpreters.RunFailedError as error:
        return str(error)
    finally:
        _xxsubinterpreters.destroy(identifier)
    return None
