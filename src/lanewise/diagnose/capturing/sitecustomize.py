"""Begins to keep calls' arguments where the environment asks for it, then makes room for the real one."""

import contextlib
import importlib
import importlib.util
import os
import sys
from pathlib import Path

_ASKED = "LANEWISE_CAPTURE"


def _begin(asked: str) -> None:
    folder = Path(__file__).parent
    spec = importlib.util.spec_from_file_location("_lanewise_calls", folder / "calls.py")
    if spec is not None and spec.loader is not None:
        calls = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(calls)
        calls.begin(asked)
    # Another module of this name may stand further down the path: it is the one that was meant.
    sys.path[:] = [one for one in sys.path if one != str(folder)]
    ours = sys.modules.pop("sitecustomize", None)
    with contextlib.suppress(ImportError):
        importlib.import_module("sitecustomize")
    if ours is not None:
        sys.modules.setdefault("sitecustomize", ours)


if _ASKED in os.environ:
    _begin(os.environ[_ASKED])
