"""Whether a module may be imported in an interpreter with its own lock.

Many extensions may not: they say so, say nothing, or are wrong about it. Where one is refused, the import
raises; where one is wrong, it can take the whole process with it. So a function's module is imported once
by a process that is thrown away, in an interpreter as the lane's own are, before a call of that function
goes to one of these.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from typing import Any

from _lanewise_worker.main_module import describe_main
from lanewise.errors import NotPortableError
from lanewise.lanes.process.memory import home_of_far_side

# Imports take long where there are many; nothing takes this long.
_PATIENCE_S = 120.0
_BOOTSTRAP = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from _lanewise_worker.import_probe import main; main()"
)
# What CPython says, and any line in which extensions say it for themselves.
_NAMED = re.compile(r"module (\S+) [^\n]*subinterpreters?", re.IGNORECASE)
_REFUSED = re.compile(r"[^\n]*subinterpreter[^\n]*", re.IGNORECASE)
_MAX_LETTERS = 400

# What became of each module, for the process's life: None where it may be imported. Any thread may
# write, and two that try the same module write the same; to set an item of a dict is one operation on
# all builds.
_verdicts: dict[str, str | None] = dict.fromkeys(("", "builtins", *sys.builtin_module_names))


def is_known(module: str) -> bool:
    """Whether it has been tried and may be imported. Our own far side may."""
    return _verdicts.get(module, "") is None or module.startswith("_lanewise_worker.")


class ImportTrials:
    """Tries modules, each once. Owner: the lane's loop."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Future[str | None]] = {}

    async def verdict(self, module: str) -> str | None:
        """Return why a module may not be imported, None where it may; the first time takes a process.

        Cancellation: the trial goes on for others who want to know.
        """
        if is_known(module):
            return None
        if module in _verdicts:
            return _verdicts[module]
        running = self._running.get(module)
        if running is None:
            loop = asyncio.get_running_loop()
            # In a thread: whoever waits for a process must not do so on the loop.
            running = loop.run_in_executor(None, _tried, module)
            self._running[module] = running
            running.add_done_callback(lambda _: self._running.pop(module, None))
        return await asyncio.shield(running)


def _tried(module: str) -> str | None:
    """Import a module in a process of its own. In a thread."""
    # subprocess starts programs without running this process's hooks for forks, and without Python code
    # in the copy: neither is safe beside live interpreters.
    path = [str(place) for place in sys.path]
    request = {"module": module, "path": path, "main": describe_main()}
    try:
        done = subprocess.run(  # noqa: S603 - because: this very interpreter, on our own code
            [sys.executable, "-c", _BOOTSTRAP, home_of_far_side()],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        why: str | None = f"importing {module} did not end within {_PATIENCE_S:g} s"
    except OSError as error:
        return f"it cannot be tried whether {module} may be imported there: {error}"  # not for ever
    else:
        why = _read(module, done)
    _verdicts[module] = why
    return why


def _read(module: str, done: subprocess.CompletedProcess[bytes]) -> str | None:
    if done.returncode < 0:
        return f"importing {module} there kills the process (signal {-done.returncode})"
    try:
        answer: dict[str, Any] = json.loads(done.stdout.rpartition(b"\n")[2])
        words = answer["refused"]
    except (ValueError, KeyError, TypeError):
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return f"importing {module} there ended the process (exit code {done.returncode}): {last}"
    return None if words is None else f"importing {module} {refused(str(words))}"


def refused(words: str) -> str:
    """Say which extension an error is about, in a line."""
    named = _NAMED.search(words)
    found = named or _REFUSED.search(words)
    line = (found.group(0) if found else words)[:_MAX_LETTERS].strip()
    what = f"{named.group(1)}, an extension that" if named else "an extension that"
    return f"loads {what} does not support interpreters with their own lock ({line})"


def not_portable(name: str, why: str, *, started: bool = False) -> NotPortableError:
    """Return the error for a call whose imports keep it out of interpreters."""
    return NotPortableError(
        f"{name} cannot run in an interpreter of its own: {why}. Use the process lane for it, or pin the "
        "task with @task(lane='process')",
        started=started,
    )
