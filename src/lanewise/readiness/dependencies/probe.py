"""Ask another process about modules, one at a time, and survive what they do to it.

Importing or loading somebody's module can crash, hang or exit. It therefore happens in a child: what
kills the child costs the module that was being looked at, and a new child goes on with the next one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from _lanewise_worker.orphans import kill_tree
from lanewise.errors import AuditError

Answer = dict[str, Any]

_HERE = Path(__file__).parent
# A child that has not answered its first question after this long is not an interpreter that works:
# a start takes 20 ms to 0.5 s, on a slow disk some seconds.
_START_TIMEOUT_S = 60.0
_STDERR_TAIL_BYTES = 4000


class ChildEndedError(Exception):
    """The child died or did not answer in time; internal to the dependency audit."""


class ChildSilentError(ChildEndedError):
    """It did not answer in time."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What to run where.

    Attributes:
        script: The file beside this one that defines ``prepare(options)`` and ``answer(question)``.
        python: The interpreter to run; None for the one that runs this.
        search_path: Folders to append to its ``sys.path``.
        options: Given to ``prepare``.
        flags: Options of the interpreter, such as ``-v``.
        timeout_s: Seconds that one answer may take.
        env: Variables to add to its environment.
        cwd: The folder that it stands in; None for this process's.
        loop: The file beside this one that reads questions and writes answers.
    """

    script: str
    python: str | None = None
    search_path: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    timeout_s: float = 30.0
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    loop: str = "_probe_child.py"

    @property
    def command(self) -> list[str]:
        """How the child is started."""
        loop = (_HERE / self.loop).read_text(encoding="utf-8")
        # -P: the folder that the audit happens to stand in is not part of the environment.
        return [self.python or sys.executable, "-P", *self.flags, "-c", loop]

    @property
    def path_entries(self) -> list[str]:
        """``search_path``, behind this process's own path where the same interpreter is asked."""
        own = [] if self.python is not None else [entry for entry in sys.path if entry]
        return [*own, *self.search_path]


class ProbeChild:
    """One child and the channel to it. Use it as a context manager.

    Attributes:
        prepared: What ``prepare`` answered.

    Raises:
        ChildEndedError: It could not be started, or ended before it had prepared.
    """

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._buffer = b""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - because: closed in __exit__, with the child
        try:
            self._process = subprocess.Popen(  # noqa: S603 - because: the user names the interpreter
                probe.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,  # so that what it starts can be ended with it
                env={**os.environ, **probe.env},
                cwd=probe.cwd,
            )
        except OSError as error:
            self._stderr.close()
            raise ChildEndedError(f"it cannot be started: {error}") from error
        setup = {
            "source": (_HERE / probe.script).read_text(encoding="utf-8"),
            "name": probe.script,
            "search_path": probe.path_entries,
            "options": dict(probe.options),
        }
        try:
            self.prepared = self._exchange(setup, max(probe.timeout_s, _START_TIMEOUT_S))
        except BaseException:
            self.close()
            raise

    def ask(self, question: Mapping[str, Any], timeout_s: float | None = None) -> Answer:
        """Put one question; ``timeout_s`` is the probe's own unless another is given.

        Raises:
            ChildEndedError: The child died of it, or did not answer in time; it is of no use any more.
        """
        return self._exchange(question, timeout_s or self._probe.timeout_s)

    def close(self) -> None:
        """Kill the child and what it has started, whatever sessions that has made."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self._process.poll() is None:
            kill_tree(self._process.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _exchange(self, message: Mapping[str, Any], timeout_s: float) -> Answer:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(message).encode() + b"\n")
            stdin.flush()
        except OSError as error:
            raise ChildEndedError(self._how_it_ended()) from error
        return self._parse(self._line(time.monotonic() + timeout_s, timeout_s))

    def _line(self, deadline_s: float, timeout_s: float) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None
        while b"\n" not in self._buffer:
            left_s = deadline_s - time.monotonic()
            ready = select.select([stdout], [], [], max(0.0, left_s))[0]
            if not ready:
                raise ChildSilentError(f"no answer within {timeout_s:g} s")
            received = os.read(stdout.fileno(), 1 << 16)
            if not received:
                raise ChildEndedError(self._how_it_ended())
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _parse(self, line: bytes) -> Answer:
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise ChildEndedError(f"it answered {line[:80]!r}, which is no JSON") from error
        if not isinstance(answer, dict):
            raise ChildEndedError(f"it answered {line[:80]!r}, which is no object")
        return answer

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "it closed its end of the channel"
        how = f"exit code {code}" if code >= 0 else f"{_signal_name(-code)}"
        said = self.last_words().rstrip(".")
        return f"{how}; it wrote: {said}" if said else how

    def last_words(self) -> str:
        """The line of its stderr that says most: the fatal error, else the last one."""
        end = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, end - _STDERR_TAIL_BYTES))
        lines = self._stderr.read().decode(errors="replace").split("\n")
        lines = [line.strip() for line in lines if line.strip()]
        fatal = [line for line in lines if line.startswith("Fatal Python error")]
        return (fatal or lines or [""])[-1][:200]


def _signal_name(number: int) -> str:
    try:
        return f"killed by {signal.Signals(number).name}"
    except ValueError:
        return f"killed by signal {number}"


def ask_each(probe: Probe, questions: Iterable[Mapping[str, Any]]) -> Iterator[Answer]:
    """Yield the answer to each question in turn; where a child died of one, ``{"error": why}``.

    A question that kills a child which has answered others before is put once more to a new one:
    two libraries that do not get along in one process say nothing about either of them. One that takes
    too long is not: that would cost the same time again.

    Raises:
        AuditError: No child can be started at all.
    """
    child: ProbeChild | None = None
    try:
        for question in questions:
            used = child is not None
            child = child or start(probe)
            try:
                answer = child.ask(question)
            except ChildEndedError as error:
                child.close()
                child = None
                if used and not isinstance(error, ChildSilentError):
                    child, answer = _ask_afresh(probe, question)
                else:
                    answer = {"error": f"the process died of it: {error}"}
            yield answer
    finally:
        if child is not None:
            child.close()


def _ask_afresh(probe: Probe, question: Mapping[str, Any]) -> tuple[ProbeChild | None, Answer]:
    child = start(probe)
    try:
        return child, child.ask(question)
    except ChildEndedError as error:
        child.close()
        return None, {"error": f"the process died of it: {error}"}


def ask_once(probe: Probe, question: Mapping[str, Any]) -> Answer:
    """Put one question to a child of its own.

    Raises:
        AuditError: The child cannot be started, died, or raised.
    """
    with start(probe) as child:
        try:
            answer = child.ask(question)
        except ChildEndedError as error:
            raise AuditError(
                f"{_called(probe)} died while it ran {probe.script}: {error}"
            ) from error
    if "error" in answer:
        raise AuditError(f"{_called(probe)} failed in {probe.script}: {answer['error']}")
    return answer


def start(probe: Probe) -> ProbeChild:
    """Start a child.

    Raises:
        AuditError: It cannot be started, or it cannot prepare.
    """
    try:
        child = ProbeChild(probe)
    except ChildEndedError as error:
        raise AuditError(
            f"{_called(probe)} cannot be asked: {error}. Give the path of a CPython 3.11 or later"
        ) from error
    if "error" in child.prepared:
        child.close()
        raise AuditError(f"{_called(probe)} failed in {probe.script}: {child.prepared['error']}")
    return child


def _called(probe: Probe) -> str:
    return f"the interpreter {probe.python or sys.executable}"


def several(names: Sequence[str], most: int = 4) -> str:
    """Name some of them in a sentence: ``a, b, c, d and 3 more``."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
