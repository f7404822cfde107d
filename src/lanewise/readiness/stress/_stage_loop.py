"""The channel of a child that holds a collected test suite. Stdlib only, for ``python -c``.

As in the dependency audit's ``_probe_child.py``, but pytest is in the middle: it calls the loop,
not the other way round.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import traceback
from types import ModuleType


def main() -> None:
    """Load the stage and let it serve until stdin ends."""
    questions = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    setup = json.loads(questions.readline())
    options = setup["options"]
    sys.path.extend(entry for entry in setup["search_path"] if entry not in sys.path)
    # In front, as ``python -m pytest`` has it: the files that were audited, not an installed copy.
    sys.path[:0] = [entry for entry in options["paths"] if entry not in sys.path]
    # Looked for, not imported: pytest wants to rewrite the assertions of its plugins when it does.
    modules = ("pytest", "pytest_run_parallel")
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        answers.write(json.dumps({"error": "it is not installed", "missing": missing[0]}) + "\n")
        answers.flush()
        return
    try:
        loaded("lanewise_stress", options["folder"] + "/__init__.py", options["folder"])
        forks = importlib.import_module("lanewise_stress.forks")
        forks.adopt_orphans(loaded("lanewise_stress_orphans", options["orphans"]))
        stage = importlib.import_module("lanewise_stress.pytest_stage")
        stage.serve(options, questions, answers)
    except BaseException as error:  # noqa: BLE001 - because: whatever a conftest raises is told
        answers.write(
            json.dumps({"error": traceback.format_exception_only(error)[-1].strip()}) + "\n"
        )
        answers.flush()
    os._exit(0)


def loaded(name: str, file: str, folder: str | None = None) -> ModuleType:
    """Load a module, or with its folder a package, whose parents need not be importable."""
    spec = importlib.util.spec_from_file_location(
        name, file, submodule_search_locations=None if folder is None else [folder]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
