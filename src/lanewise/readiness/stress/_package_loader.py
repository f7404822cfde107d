"""Load ``far_side`` by its path and answer with one of its modules. Stdlib only, runs in a child."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

NAME = "lanewise_stress"


def load(folder: str, module: str) -> Any:
    """Import a module of the package in a folder, whose parents need not be importable."""
    spec = importlib.util.spec_from_file_location(
        NAME, f"{folder}/__init__.py", submodule_search_locations=[folder]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = package
    spec.loader.exec_module(package)
    return importlib.import_module(f"{NAME}.{module}")


def prepare(options: dict[str, Any]) -> dict[str, Any]:
    """Load, and let the module prepare."""
    state.append(load(options["folder"], options["module"]))
    found: dict[str, Any] = state[0].prepare(options)
    return found


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Let the module answer."""
    found: dict[str, Any] = state[0].answer(question)
    return found


# owner: the child's only thread; the module that answers.
state: list[Any] = []
