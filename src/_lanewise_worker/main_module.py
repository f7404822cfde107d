"""The user's own program, as workers see it.

A function of the program that was started pickles as ``__main__.name``. In a worker ``__main__`` is
another module, so the user's is run there under the name ``__mp_main__``, as multiprocessing does it,
so that ``if __name__ == "__main__":`` keeps its meaning. It is run when something of it is first asked
for, and not before: a worker that never needs it never pays for it.
"""

from __future__ import annotations

import sys
import types
from typing import Any

_STANDS_IN = "__lanewise_stands_in__"
# What somebody reads whose main module starts its work when it is imported.
UNGUARDED = (
    "the program's main module starts its work when it is imported, and workers import it to find the "
    'functions that it defines. Put what starts the program under `if __name__ == "__main__":`, or the '
    "functions into a module of their own"
)
# owner: load_main, in the one thread that runs the user's program here
_loading = False


def refuse_while_loading() -> None:
    """Let nothing be opened here by a main module that is being run for its functions alone.

    Raises:
        RuntimeError: :func:`load_main` runs the module at this moment.
    """
    if _loading:
        raise RuntimeError(UNGUARDED)


def describe_main() -> dict[str, str]:
    """Say, in the parent, how a worker can get the parent's main module; nothing where it cannot."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return {"module": spec.name}
    path = getattr(main, "__file__", None)
    if path and not str(path).startswith("<"):
        import os  # noqa: PLC0415 - because: only where there is a path

        return {"path": os.path.abspath(path)}  # noqa: PTH100 - because: pathlib is not worth its import here
    return {}


def load_main(main: dict[str, str]) -> types.ModuleType:
    """Run the parent's main module here, once, and return it.

    Raises:
        Exception: Whatever the module raises while it runs.
        ImportError: The parent has no main module that can be run again.
    """
    global _loading  # noqa: PLW0603 - because: one process runs one main module
    known = sys.modules.get("__mp_main__")
    # When multiprocessing is imported it gives that name to whatever __main__ is then: our stand-in.
    if known is not None and _STANDS_IN not in vars(known):
        return known
    import runpy  # noqa: PLC0415 - because: only workers that need the module pay for it

    if not main:
        raise ImportError(
            "the parent's __main__ is neither a file nor a module (an interactive session?): put the "
            "function into a module of its own"
        )
    module = types.ModuleType("__mp_main__")
    before = sys.modules.get("__main__")
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    _loading = True
    try:
        if "module" in main:
            found = runpy.run_module(main["module"], run_name="__mp_main__", alter_sys=True)
        else:
            found = runpy.run_path(main["path"], run_name="__mp_main__")
        module.__dict__.update(found)
    except BaseException:
        del sys.modules["__mp_main__"]
        if before is not None:
            sys.modules["__main__"] = before
        raise
    finally:
        _loading = False
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module
    return module


def install_lazy_main(main: dict[str, str]) -> None:
    """Put a module in the place of ``__main__`` that becomes the user's when it is asked for anything."""
    lazy = types.ModuleType("__main__")

    def find(name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # what the import system asks every module for
        return getattr(load_main(main), name)

    lazy.__getattr__ = find  # type: ignore[method-assign]  # because: PEP 562 asks for exactly this
    lazy.__dict__[_STANDS_IN] = True
    lazy.__dict__.pop("__spec__", None)
    sys.modules["__main__"] = lazy
