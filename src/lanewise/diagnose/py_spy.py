"""Stacks over time from py-spy, an extra: for interpreters that do not publish where their frames are.

It runs beside the looks and writes a timeline when it is told to stop; then each look gets the
stack of its moment.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lanewise.errors import DiagnoseError

RATE_HZ = 100
INSTALL = "pip install 'lanewise[diagnose]'"
_THREAD = re.compile(r"^thread \((\d+)\)(?:: (.*))?$")
_STOP_TIMEOUT_S = 30.0
_Place = tuple[str, int, str]  # file, line, qualified name


@dataclass(slots=True)
class StackTimeline:
    """The stacks of threads over time.

    Attributes:
        names: Of threads, by native id.
        times_us, stacks: Of each thread: from when on it had which stack, innermost first.
    """

    names: dict[int, str] = field(default_factory=dict)
    times_us: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    stacks: dict[int, list[tuple[_Place, ...]]] = field(default_factory=lambda: defaultdict(list))

    def at(self, native_id: int, moment_us: int) -> tuple[_Place, ...] | None:
        """The stack at a moment; None before the first."""
        times = self.times_us.get(native_id, [])
        place = bisect.bisect_right(times, moment_us) - 1
        return self.stacks[native_id][place] if place >= 0 else None


class PySpy:
    """py-spy at work on one process. Owned by the looker; finish it after use.

    Raises:
        DiagnoseError: It is not installed.
    """

    def __init__(self, pid: int, began_ns: int) -> None:
        program = find_py_spy()
        if program is None:
            raise DiagnoseError(f"py-spy is not installed: {INSTALL}")
        self._began_ns = began_ns
        self._folder = tempfile.TemporaryDirectory(prefix="lanewise-")
        self._file = Path(self._folder.name, "trace.json")
        self._process = subprocess.Popen(  # noqa: S603 - because: found above, with arguments of ours
            [
                program, "record", "--pid", str(pid), "--rate", str(RATE_HZ), "--format", "chrometrace",
                "--idle", "--threads", "--nonblocking", "--output", str(self._file),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def finish(self) -> StackTimeline | str:
        """Stop it and return what it saw, or why it saw nothing."""
        try:
            with contextlib.suppress(OSError):
                self._process.send_signal(signal.SIGINT)
            told = self._last_words()
            try:
                events = json.loads(self._file.read_text(encoding="utf-8"))
                written_ns = self._file.stat().st_mtime_ns
            except (OSError, ValueError):
                last = told.strip().splitlines()[-1:] or ["it said nothing"]
                return f"no functions and no stalls, for py-spy failed: {last[0]}"
            last_us = max((event["ts"] for event in events), default=0)
            # Its clock begins with it, and its last events carry the moment at which it wrote them:
            # so does the file, however late we are to hear of it.
            ended_ns = time.monotonic_ns() - (time.time_ns() - written_ns)
            return timeline(events, (ended_ns - self._began_ns) // 1000 - last_us)
        finally:
            self._folder.cleanup()

    def _last_words(self) -> str:
        try:
            _, words = self._process.communicate(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, words = self._process.communicate()
        return words


def find_py_spy() -> str | None:
    """Where the program is: beside this interpreter, or on the path."""
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def timeline(events: list[dict[str, Any]], offset_us: int) -> StackTimeline:
    """Put begin and end events together into stacks; ``offset_us`` is added to their times."""
    made = StackTimeline()
    open_frames: dict[int, list[_Place]] = defaultdict(list)
    native: dict[int, int] = {}
    for event in events:
        thread, name = event["tid"], event["name"]
        if found := _THREAD.match(name):
            native[thread] = int(found[1])
            if found[2]:
                made.names[int(found[1])] = found[2]
            continue
        frames = open_frames[thread]
        if event["ph"] == "B":
            frames.append((event["args"]["filename"], event["args"]["line"] or 0, name))
        elif frames:
            frames.pop()
        native_id = native.get(thread, 0)
        moment_us = event["ts"] + offset_us
        times, stacks = made.times_us[native_id], made.stacks[native_id]
        if times and times[-1] == moment_us:
            stacks[-1] = tuple(reversed(frames))
        else:
            times.append(moment_us)
            stacks.append(tuple(reversed(frames)))
    return made
