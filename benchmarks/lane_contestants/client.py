"""A contestant's process, as the coordinator sees it."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_CLOSE_S = 15.0
# Helpers of pools (resource trackers) end a little after what they watch.
_LINGER_S = 2.0
_BENCHMARKS = Path(__file__).resolve().parent.parent


class ContestantError(Exception):
    """A contestant failed; the text says how."""


class Client:
    """Starts a contestant in a process of its own, and ends it with all that it started.

    Args:
        name: Of the contestant.
        row: Number of the row.
        sizes: Arguments of ``base.Sizes``.
        timeout_s: What getting ready, and each round, may take.
    """

    def __init__(self, name, row, sizes, timeout_s):
        self.name = name
        self.notes = {}
        self._timeout_s = timeout_s
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - because: lives as long as this
        # What is killed cannot remove its own.
        self._folder = tempfile.TemporaryDirectory(prefix="lanes_", ignore_cleanup_errors=True)
        self._pending = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lane_contestants.host", name, str(row), json.dumps(sizes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            bufsize=0,
            env=_environment() | {"TMPDIR": self._folder.name},
            # Ctrl-C goes to the coordinator, which then ends everybody in order.
            start_new_session=True,
        )

    def get_ready(self):
        """Wait until workers run and everything was done once.

        Raises:
            ContestantError: It cannot.
        """
        self.notes = self._answer("ready")

    def round(self):
        """Run one round and return its figures.

        Raises:
            ContestantError: It failed or took too long; it is of no use any more.
        """
        try:
            os.write(self._process.stdin.fileno(), b"r")
        except BrokenPipeError:
            raise ContestantError(f"its process ended{self._last_words()}") from None
        return self._answer("figures")

    def close(self):
        """End it; kill what does not end by itself.

        Returns:
            None, or what went wrong.
        """
        tree = _descendants(self._process.pid)
        self._process.stdin.close()
        trouble = None
        try:
            self._process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            trouble = f"did not end within {_CLOSE_S:g} s and was killed{self._last_words()}"
        else:
            if self._process.returncode:
                trouble = f"ended with status {self._process.returncode}{self._last_words()}"
            elif left := _left_of(tree, within_s=_LINGER_S):
                trouble = f"left {len(left)} processes behind, which were killed"
        self._kill(tree)
        return trouble

    def kill(self):
        """End it and all that it started, at once."""
        self._kill(_descendants(self._process.pid))

    def cpu_s(self):
        """Return the processor time of it and its descendants so far, or None where that is unknown."""
        tree = _descendants(self._process.pid)
        return None if tree is None else sum(one.cpu_s for one in tree.values())

    def _kill(self, tree):
        if self._process.poll() is None:
            self._process.kill()
        for pid in _alive(tree):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._complaints):
            stream.close()
        self._folder.cleanup()

    def _answer(self, key):
        answer = self._line()
        if "error" in answer:
            raise ContestantError(answer["error"])
        return answer[key]

    def _line(self):
        fd = self._process.stdout.fileno()
        end = time.monotonic() + self._timeout_s
        while b"\n" not in self._pending:
            ready, _, _ = select.select([fd], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise ContestantError(f"no answer within {self._timeout_s:g} s{self._last_words()}")
            data = os.read(fd, 65_536)
            if not data:
                raise ContestantError(f"its process ended{self._last_words()}")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return json.loads(line)

    def _last_words(self):
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return f"; it said: {lines[-1][:200]}" if lines else ""


def _environment():
    paths = [str(_BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONWARNINGS": "ignore",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }


class _Seen:
    def __init__(self, fields):
        self.state, self.parent, self.session = fields[0], int(fields[1]), int(fields[3])
        self.started = int(fields[19])
        self.cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _look_at(pid):
    try:
        return _Seen(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split())
    except (OSError, IndexError):
        return None


def _descendants(root):
    """Return a process and those below it, by number; None without /proc."""
    if not Path("/proc/self/stat").exists():
        return None
    seen = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (one := _look_at(entry.name)) is not None:
            seen[int(entry.name)] = one
    # The session too: whoever lost its parent still belongs to it.
    found, grown = {root} | {pid for pid, one in seen.items() if one.session == root}, True
    while grown:
        more = {pid for pid, one in seen.items() if one.parent in found} - found
        found |= more
        grown = bool(more)
    return {pid: seen[pid] for pid in found if pid in seen}


def _alive(tree):
    """Return those that still run, and are not others that were given the same number meanwhile."""
    return [
        pid
        for pid, was in (tree or {}).items()
        if (now := _look_at(pid)) is not None
        and now.started == was.started
        and now.state not in "ZX"
    ]


def _left_of(tree, within_s):
    end = time.monotonic() + within_s
    while (left := _alive(tree)) and time.monotonic() < end:
        time.sleep(0.02)
    return left
