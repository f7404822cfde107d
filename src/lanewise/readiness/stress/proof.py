"""Run a project's tests and models of its findings, and mark the findings that they confirm."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lanewise.errors import AuditError
from lanewise.readiness.audit import AuditReport
from lanewise.readiness.findings import Confirmation, Finding
from lanewise.readiness.stress.attribution import Keys, tied
from lanewise.readiness.stress.judging import Judged, judge
from lanewise.readiness.stress.models import RULES, Model, Modelling, check_factories, explore
from lanewise.readiness.stress.outcome import StressReport, TestProof
from lanewise.readiness.stress.regression import check_folder, write_test
from lanewise.readiness.stress.rounds import Round
from lanewise.readiness.stress.subjects import Subject, subjects
from lanewise.readiness.stress.suite import Collected, Guard, Mode, Stage, Suite

_ALONE_S = 60.0
_REPEATS = 2
# A round that takes longer has come to a standstill: this, and so many times what the test takes
# alone. Threads that are delayed at every step take turns at worst.
_TRY_S = 10.0
_SLOWER = 20.0
_LONGEST_S, _SHARE_OF_A_ROUND = 30.0, 0.3
# Rounds of a test that comes to what a finding names, and of one that does not.
_ROUNDS = 4
_ROUNDS_BESIDE = 2
# Tests get the first part of the time: models need the arguments that tests were seen to give. The
# rest is the models', however long the last test took.
_SHARE_OF_TESTS = 0.7
_MODEL_S, _SHORTEST_MODEL_S = 10.0, 2.0
# A test whose rounds would take more than this part of the time is not run in threads: fifty others are.
_SHARE_OF_ONE = 0.1


@dataclass(frozen=True, slots=True)
class StressOptions:
    """How to run the project's code.

    Attributes:
        root: The project's folder: where pytest stands, and what is the project's own code.
        python: The interpreter; None for the one that runs this.
        tests: What to give to pytest; empty for what its configuration says.
        threads: How many run one test at once.
        iterations: How often each of them does in a round.
        budget_s: Seconds for all of it.
        models: The folder for the tests of failing schedules, or None to write none.
        factories: A file with arguments for models, or None.
    """

    root: Path
    python: str | None = None
    tests: tuple[str, ...] = ()
    threads: int = 4
    iterations: int = 5
    budget_s: float = 300.0
    models: Path | None = None
    factories: Path | None = None


def prove(report: AuditReport, options: StressOptions, tell: Callable[[str], None]) -> AuditReport:
    """Return the report with what running the code showed, findings marked that it confirms.

    Runs the project's code: its tests and the functions of findings, in child processes that end
    with this call.

    Args:
        report: The audit of the project's text.
        options: How.
        tell: Told what is being done.

    Raises:
        AuditError: pytest-run-parallel is missing, the tests cannot be collected, or a file cannot
            be written.
    """
    if not hasattr(os, "fork"):
        raise AuditError(
            "--stress runs each try in a fork, and this system has none: run it on Linux, in a "
            "container for example"
        )
    check_factories(options.factories)
    if options.models is not None:
        check_folder(options.models)
    return _Proof(report, options, tell).made()


class _Proof:
    """One run. owner of all that it notes: the thread that calls it."""

    def __init__(
        self, report: AuditReport, options: StressOptions, tell: Callable[[str], None]
    ) -> None:
        self._report = report
        self._options = options
        self._tell = tell
        self._started = self._tested = time.monotonic()
        self._subjects = subjects(report.findings, report.root)
        self._recorded: dict[str, Mapping[str, str]] = {}
        self._confirmed: dict[str, list[Confirmation]] = {}
        self._came_back = False
        self._facts: dict[str, Any] = {}

    def made(self) -> AuditReport:
        """Do it all."""
        tests, uncollected = self._tests()
        self._tested = time.monotonic()
        models = self._models()
        written = self._write(models)
        stress = StressReport(
            facts=self._facts,
            gil_came_back=self._came_back,
            tests=tuple(tests),
            uncollected=tuple(uncollected),
            models=tuple(models),
            written=written,
            spent_s=time.monotonic() - self._started,
        )
        findings = tuple(self._marked(finding) for finding in self._report.findings)
        return replace(self._report, findings=findings, stress=stress)

    def _marked(self, finding: Finding) -> Finding:
        found = self._confirmed.get(finding.fingerprint)
        return finding if found is None else replace(finding, confirmed=tuple(found))

    def _confirm(self, finding: Finding, by: str, name: str, evidence: str) -> None:
        one = Confirmation(by, name, evidence)
        self._confirmed.setdefault(finding.fingerprint, []).append(one)

    def _left(self, share: float = 1.0) -> bool:
        return time.monotonic() - self._started < self._options.budget_s * share

    def _left_for_models(self) -> bool:
        spent_s = time.monotonic() - self._tested
        return self._left() or spent_s < self._options.budget_s * (1 - _SHARE_OF_TESTS)

    # --- the project's tests
    # ------------------------------------------------------------------------

    def _tests(self) -> tuple[list[TestProof], list[dict[str, str]]]:
        options = self._options
        stage = Stage(
            root=options.root.resolve(),
            python=options.python,
            paths=tuple(
                dict.fromkeys([*(one.path for one in self._subjects), str(options.root.resolve())])
            ),
            arguments=options.tests,
            threads=options.threads,
            iterations=options.iterations,
            watched=tuple(one for subject in self._subjects for one in subject.names()),
        )
        self._tell("collecting the tests")
        with Suite(stage) as suite:
            self._facts = suite.facts
            found = []
            for number, test in enumerate(suite.tests, 1):
                self._tell(f"{number} of {len(suite.tests)}: {test.id}")
                found.append(self._test(suite, test))
            return found, suite.uncollected

    def _test(self, suite: Suite, test: Collected) -> TestProof:
        if not self._left(_SHARE_OF_TESTS):
            return TestProof(test.id, "not run", test.alone)
        began = time.monotonic()
        most_s = min(_ALONE_S, self._options.budget_s * _SHARE_OF_ONE * 2)
        alone, notes = suite.note(test.id, repeats=_REPEATS, timeout_s=most_s)
        took_s = (time.monotonic() - began) / _REPEATS
        for name, arguments in notes.get("arguments", {}).items():
            self._recorded.setdefault(name, arguments)
        if alone.status == "skipped":
            return TestProof(test.id, "skipped", test.alone)
        # A test with threads of its own may fail of what they do to each other: its control will
        # tell.
        if alone.is_bad and not notes.get("own_threads"):
            return TestProof(test.id, "fails alone", test.alone, error=_how(alone, notes))
        modes: list[Mode] = ["alone"] if notes["own_threads"] else []
        if test.alone is None and not alone.is_bad:
            modes.append("together")
        if not modes:
            return TestProof(test.id, "passes", test.alone)
        return self._in_threads(suite, test, modes, took_s, set(notes["called"]))

    def _in_threads(
        self, suite: Suite, test: Collected, modes: list[Mode], took_s: float, called: set[str]
    ) -> TestProof:
        judged: Judged | None = None
        for mode in modes:
            times = self._options.threads * self._options.iterations if mode == "together" else 1
            if took_s * times > self._options.budget_s * _SHARE_OF_ONE:
                judged = judged or Judged("not run")
                continue
            most_s = max(_LONGEST_S, self._options.budget_s * _SHARE_OF_A_ROUND)
            timeout_s = min(_TRY_S + _SLOWER * took_s * times, most_s)
            run = _Runner(suite, test.id, mode, timeout_s)
            rounds = _ROUNDS if called else _ROUNDS_BESIDE
            found = judge(run.judged, lambda: self._left(_SHARE_OF_TESTS), rounds)
            self._watch_the_lock(found)
            judged = found if judged is None or found.verdict != "passes" else judged
            if found.verdict != "code":
                if mode == "alone" and found.verdict == "assumes it is alone":
                    return TestProof(test.id, "fails alone", test.alone, found)
                continue
            confirms = self._attribute(test, run, found, called)
            return TestProof(test.id, "code", test.alone, found, confirms=confirms)
        assert judged is not None
        return TestProof(test.id, judged.verdict, test.alone, judged)

    def _attribute(
        self, test: Collected, run: _Runner, judged: Judged, called: set[str]
    ) -> tuple[str, ...]:
        candidates = [one for one in self._subjects if called & {name for *_, name in one.names()}]
        confirms = []
        for one in tied(judged, candidates, run.guarded, self._left):
            self._confirm(one.subject.finding, "test", test.id, one.evidence)
            confirms.append(one.subject.finding.object)
        return tuple(confirms)

    def _watch_the_lock(self, judged: Judged) -> None:
        if not self._facts["gil_enabled"] and any(one.gil_enabled for one in judged.free):
            self._came_back = True

    # --- models
    # -------------------------------------------------------------------------------------

    def _models(self) -> list[Model]:
        factories = self._options.factories
        count = sum(one.finding.rule in RULES for one in self._subjects) or 1
        share_s = self._options.budget_s * (1 - _SHARE_OF_TESTS) / count
        how = Modelling(
            root=self._options.root.resolve(),
            python=self._options.python,
            budget_s=min(_MODEL_S, max(_SHORTEST_MODEL_S, share_s)),
            factories=None if factories is None else factories.resolve(),
            recorded=self._recorded,
        )
        found = []
        for model in explore(self._subjects, how, self._tell_model, self._left_for_models):
            found.append(model)
            if model.is_tied:
                name = f"model of {model.function.qualname}"
                self._confirm(model.subject.finding, "model", name, model.evidence)
        return found

    def _tell_model(self, subject: Subject) -> None:
        self._tell(f"exploring {subject.finding.rule} {subject.finding.object}")

    def _write(self, models: list[Model]) -> dict[str, tuple[Path, bool]]:
        folder = self._options.models
        if folder is None:
            return {}
        python = str(self._facts.get("python", sys.version.split()[0]))
        return {
            model.subject.finding.fingerprint: write_test(model, folder, python)
            for model in models
            if model.is_tied
        }


@dataclass(frozen=True, slots=True)
class _Runner:
    """Runs one test in one mode, with delays in the findings' files."""

    suite: Suite
    test: str
    mode: Mode
    timeout_s: float

    def judged(self, control: bool) -> Round:  # noqa: FBT001 - because: the two kinds of rounds
        """A free round, or one of the control."""
        guard: Guard = "all" if control else None
        return self.suite.run(
            self.test,
            self.mode,
            timeout_s=self.timeout_s,
            guard=guard,
            delays=True,
        )

    def guarded(self, keys: Keys) -> Round:
        """A round in which some functions' calls come one at a time."""
        return self.suite.run(
            self.test, self.mode, timeout_s=self.timeout_s, guard=keys, delays=True
        )


def _how(alone: Round, notes: Mapping[str, Any]) -> str:
    if alone.status == "hung":
        return "it did not come to its end"
    if alone.status == "crashed":
        return f"the process was ended by signal {alone.signal}"
    again = "when it is run a second time: " if notes.get("times", 1) > 1 else ""
    return again + alone.error
