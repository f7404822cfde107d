"""A project's tests in a child, and rounds of them as they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from _lanewise_worker import orphans
from lanewise.errors import AuditError
from lanewise.readiness.dependencies.probe import ChildEndedError, Probe, ProbeChild
from lanewise.readiness.stress.rounds import Round, read_round

HERE = Path(__file__).parent
FAR_SIDE = {"folder": str(HERE / "far_side"), "orphans": orphans.__file__}
"""What a child is told, so that it can load its side by path."""

_COLLECTING_S = 300.0
# Reading the end of a fork that was killed, and the answer's way.
_MARGIN_S = 15.0

Mode = Literal["alone", "together"]
Guard = Literal["all"] | frozenset[tuple[str, int]] | None


@dataclass(frozen=True, slots=True)
class Collected:
    """A test as pytest has it.

    Attributes:
        id: Its node id.
        alone: Why it is not run in threads, or None.
    """

    id: str
    alone: str | None


@dataclass(frozen=True, slots=True)
class Stage:
    """How a suite is put up.

    Attributes:
        root: The project's folder.
        python: The interpreter; None for the one that runs this.
        paths: Folders to put in front of its ``sys.path``.
        arguments: For pytest, such as the tests' folder.
        threads: How many run one test at once.
        iterations: How often each of them does.
        watched: Functions whose calls are noted: file, first line, dotted name.
    """

    root: Path
    python: str | None = None
    paths: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    threads: int = 4
    iterations: int = 5
    watched: tuple[tuple[str, int, str], ...] = ()


class Suite:
    """The collected tests. Use it as a context manager; its end kills all that was started.

    Threads: for one thread.

    Attributes:
        tests: What was collected.
        uncollected: What could not be, with the reason.
        facts: The interpreter: ``python``, ``free_threaded``, ``gil_enabled``.

    Raises:
        AuditError: pytest or its plugin is not there, or the tests cannot be collected at all.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._child = self._start()
        told = self._child.prepared
        self.tests = [Collected(one["id"], one["alone"]) for one in told["tests"]]
        self.uncollected: list[dict[str, str]] = told["uncollected"]
        self.facts = {key: told[key] for key in ("python", "free_threaded", "gil_enabled")}

    def _start(self) -> ProbeChild:
        stage = self._stage
        probe = Probe(
            script=str(HERE / "_package_loader.py"),
            loop=str(HERE / "_stage_loop.py"),
            python=stage.python,
            cwd=str(stage.root),
            timeout_s=_COLLECTING_S,
            options={
                **FAR_SIDE,
                "root": str(stage.root),
                "paths": list(stage.paths),
                "arguments": list(stage.arguments),
                "threads": stage.threads,
                "iterations": stage.iterations,
                "watched": [list(one) for one in stage.watched],
            },
        )
        try:
            child = ProbeChild(probe)
        except ChildEndedError as error:
            raise AuditError(
                f"the tests of {stage.root} cannot be collected: {error}. See whether pytest collects "
                f"them: {stage.python or 'python'} -m pytest --collect-only"
            ) from error
        if "error" in child.prepared:
            said = child.last_words()
            child.close()
            raise AuditError(self._words(child.prepared, said))
        return child

    def _words(self, told: Mapping[str, Any], said: str) -> str:
        if "missing" not in told:
            why = f"{told['error']} ({said.rstrip('.')})" if said else told["error"]
            return (
                f"the tests of {self._stage.root} cannot be collected: {why}. See whether "
                f"pytest collects them: {self._stage.python or 'python'} -m pytest --collect-only"
            )
        if self._stage.python is None:
            return (
                f"--stress runs tests with pytest-run-parallel, and {told['missing']} is not installed: "
                "pip install 'lanewise[stress]'"
            )
        return (
            f"--stress runs tests with pytest-run-parallel, and {self._stage.python} has no "
            f"{told['missing']}: {self._stage.python} -m pip install pytest pytest-run-parallel"
        )

    def run(
        self,
        test: str,
        mode: Mode,
        *,
        timeout_s: float,
        guard: Guard = None,
        delays: bool = False,
    ) -> Round:
        """Run one round of a test."""
        return read_round(self._ask(test, mode, timeout_s, guard=guard, delays=delays))

    def note(self, test: str, *, repeats: int, timeout_s: float) -> tuple[Round, Mapping[str, Any]]:
        """Run a test alone, and say what it came to: ``called``, ``arguments``, ``own_threads``."""
        answer = self._ask(test, "alone", timeout_s, repeats=repeats, note=True)
        return read_round(answer), answer

    def _ask(  # noqa: PLR0913 - because: one question
        self,
        test: str,
        mode: Mode,
        timeout_s: float,
        *,
        guard: Guard = None,
        delays: bool = False,
        repeats: int = 1,
        note: bool = False,
    ) -> dict[str, Any]:
        which: str | Sequence[Any] | None = (
            guard if isinstance(guard, str) or guard is None else sorted(guard)
        )
        question = {
            "test": test, "mode": mode, "guard": which, "delays": delays, "repeats": repeats,
            "note": note, "timeout_s": timeout_s,
        }  # fmt: skip
        try:
            answer = self._child.ask(question, timeout_s + _MARGIN_S)
        except ChildEndedError:
            # The forks' parent itself is gone, which no test of the project should be able to do:
            # once more.
            self._child.close()
            self._child = self._start()
            try:
                answer = self._child.ask(question, timeout_s + _MARGIN_S)
            except ChildEndedError as error:
                answer = {"status": "crashed", "error": f"it ended pytest itself: {error}"}
        if "error" in answer and "status" not in answer:
            raise AuditError(f"{test} could not be run: {answer['error']}")
        return answer

    def close(self) -> None:
        """Kill the child and what it has started."""
        self._child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
