"""Load ``far_side`` by its path and answer with one of its modules. Stdlib only, in a child."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

NAME = "lanewise_stress"


def loaded(name: str, file: str, folder: str | None = None) -> Any:
    """Load a module, or with its folder a package, whose parents need not be importable.

    As in ``_stage_loop.py``: each is loaded alone in a child, before there is a package to import from.
    """
    spec = importlib.util.spec_from_file_location(
        name, file, submodule_search_locations=None if folder is None else [folder]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def prepare(options: dict[str, Any]) -> dict[str, Any]:
    """Load, and let the module prepare."""
    loaded(NAME, options["folder"] + "/__init__.py", options["folder"])
    forks = importlib.import_module(f"{NAME}.forks")
    forks.adopt_orphans(loaded(f"{NAME}_orphans", options["orphans"]))
    state.append(importlib.import_module(f"{NAME}.{options['module']}"))
    found: dict[str, Any] = state[0].prepare(options)
    return found


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Let the module answer."""
    found: dict[str, Any] = state[0].answer(question)
    return found


# owner: the child's only thread; the module that answers.
state: list[Any] = []
