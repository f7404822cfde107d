"""The interpreter that a version stands for now, from whichever source has it.

Finding fetches nothing: `fetch` is for that.
"""

from __future__ import annotations

import os
from pathlib import Path

from .chroot import find_in_root
from .native import native_candidates
from .probe import probe
from .versions import NATIVE_ONLY, SID, SOURCE_BUILT, Interpreter, Unavailable


def find(version: str, cache: Path) -> Interpreter:
    """The interpreter as it stands now; Unavailable if there is none."""
    reasons = []
    for candidate in native_candidates(version):
        if os.access(candidate, os.X_OK):
            try:
                return probe(version, [candidate], "native", None)
            except Unavailable as why:
                reasons.append(str(why))
    if (
        version in SOURCE_BUILT
        and (python := cache / version / "bin" / f"python{version}").exists()
    ):
        return probe(version, [str(python)], "built", None)
    if version in SID and (root := cache / "sid-root").exists():
        return find_in_root(version, root)
    if version in NATIVE_ONLY:
        tried = f" ({'; '.join(dict.fromkeys(reasons))})" if reasons else ""
        raise Unavailable(f"no working python{version} on PATH or in pyenv{tried}")
    raise Unavailable(f"not fetched yet: tools/interpreters ensure {version}")


def is_there(version: str, cache: Path) -> bool:
    try:
        find(version, cache)
    except Unavailable:
        return False
    return True
