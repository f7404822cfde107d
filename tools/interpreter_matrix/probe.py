"""Whether an executable is the python that it is named for, and a whole one.

The only module that starts an interpreter to question it, natively or in a chroot.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Optional

from .machine import plain_env
from .versions import Interpreter, Unavailable

# pip cannot work without ssl and zlib; the library itself needs ctypes.
NEEDED_MODULES = ("ctypes", "ssl", "zlib")
WANTED_MODULES = ("bz2", "lzma", "sqlite3")

PROBE = """
import json, sys, sysconfig
def lacks(names):
    missing = []
    for name in names.split():
        try:
            __import__(name)
        except ImportError:
            missing.append(name)
    return missing
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": "%d.%d" % sys.version_info[:2],
    "full": sys.version.split()[0],
    "threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "python": getattr(sys, "_base_executable", None) or sys.executable,
    "broken": lacks(sys.argv[1]),
    "lacks": lacks(sys.argv[2]),
}))
"""


def probe(version: str, command: list[str], kind: str, root: Optional[Path]) -> Interpreter:
    """Ask the interpreter itself: a name on PATH may be a shim, or another build."""
    argv = [*command, "-I", "-c", PROBE, " ".join(NEEDED_MODULES), " ".join(WANTED_MODULES)]
    try:
        done = subprocess.run(
            argv, env=plain_env(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip
        answer = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        raise Unavailable(f"{command[0]} does not run") from None
    found = answer["version"] + ("t" if answer["threaded"] else "")
    if answer["implementation"] != "cpython" or found != version:
        raise Unavailable(f"{command[0]} is {answer['implementation']} {found}")
    if answer["broken"]:
        raise Unavailable(f"{answer['python']} cannot import {', '.join(answer['broken'])}")
    # The base executable rather than the one asked: of a virtual environment that
    # happens to be active, a new environment must not be made.
    return Interpreter(
        version, kind, answer["python"], answer["full"], str(root) if root else None,
        tuple(answer["lacks"]),
    )  # fmt: skip
