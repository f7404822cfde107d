"""What ``--stress`` found, as values and for machines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lanewise.readiness.stress.judging import WORDS, Judged, Verdict
from lanewise.readiness.stress.models import Model
from lanewise.readiness.stress.rounds import Round, bad


@dataclass(frozen=True, slots=True)
class TestProof:
    """One test of the project's.

    Attributes:
        id: Its node id.
        verdict: What its rounds say.
        alone: Why it was not run in threads, or None.
        judged: Its rounds, or None where it was run alone at most.
        confirms: Objects of findings that it confirms.
    """

    __test__ = False  # for pytest, which else takes it for a test

    id: str
    verdict: Verdict
    alone: str | None = None
    judged: Judged | None = None
    error: str = ""
    confirms: tuple[str, ...] = ()

    @property
    def is_critical(self) -> bool:
        """Whether it ended the interpreter although calls one at a time do not."""
        worst = None if self.judged is None else self.judged.worst
        return self.verdict == "code" and worst is not None and worst.status == "crashed"

    @property
    def words(self) -> str:
        """The verdict and its evidence in a sentence."""
        if self.judged is None or not self.judged.free:
            if self.alone is not None and self.verdict == "passes":
                return f"was run alone only: {self.alone}"
            return f"{WORDS[self.verdict]}{f': {self.error}' if self.error else ''}"
        free, control = self.judged.free, self.judged.control
        told = f"{WORDS[self.verdict]}: {bad(free)} of {len(free)} rounds"
        if control:
            told += f", {bad(control)} of {len(control)} one at a time"
        worst = self.judged.worst
        return told if worst is None else f"{told}; {_ending(worst)}"

    def to_document(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        free = () if self.judged is None else self.judged.free
        control = () if self.judged is None else self.judged.control
        worst = None if self.judged is None else self.judged.worst
        return {
            "id": self.id,
            "verdict": self.verdict,
            "level": "critical"
            if self.is_critical
            else "error"
            if self.verdict == "code"
            else None,
            "message": self.words,
            "not_in_threads": self.alone,
            "rounds": len(free),
            "failed": bad(free),
            "control_rounds": len(control),
            "control_failed": bad(control),
            "signal": None if worst is None else worst.signal,
            "confirms": list(self.confirms),
        }


def _ending(one: Round) -> str:
    if one.status == "crashed":
        how = f"ended by signal {one.signal}" if one.signal else "ended by itself"
        return f"the process was {how}"
    return one.error if one.status == "failed" else "it did not come to its end"


@dataclass(frozen=True, slots=True)
class StressReport:
    """All that running the project's code showed.

    Attributes:
        facts: The interpreter: ``python``, ``free_threaded``, ``gil_enabled`` (at the start).
        gil_came_back: The lock was off at the start and on at the end of a round: what passed
            proves little.
        tests: The project's tests.
        uncollected: What pytest could not collect: ``id``, ``why``.
        models: One for each finding of FT101 to FT106.
        written: The test of each model that was kept, and whether it was written or stands as it
            was.
        spent_s: How long it took.
    """

    facts: dict[str, Any]
    gil_came_back: bool = False
    tests: tuple[TestProof, ...] = ()
    uncollected: tuple[dict[str, str], ...] = ()
    models: tuple[Model, ...] = ()
    written: dict[str, tuple[Path, bool]] = field(default_factory=dict)
    spent_s: float = 0.0

    @property
    def found_something(self) -> bool:
        """Whether a test shows broken code, or a model fails."""
        broken = any(test.verdict == "code" for test in self.tests)
        return broken or any(model.is_tied for model in self.models)

    @property
    def tally(self) -> dict[Verdict, int]:
        """How many tests each verdict has."""
        counted = Counter(test.verdict for test in self.tests)
        return {verdict: counted[verdict] for verdict in WORDS if counted[verdict]}

    def to_document(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            **self.facts,
            "gil_came_back": self.gil_came_back,
            "spent_s": round(self.spent_s, 1),
            "tally": self.tally,
            "tests": [test.to_document() for test in self.tests],
            "uncollected": list(self.uncollected),
            "models": [self._model(model) for model in self.models],
        }

    def _model(self, model: Model) -> dict[str, Any]:
        finding = model.subject.finding
        kept = self.written.get(finding.fingerprint)
        return {
            "rule": finding.rule,
            "object": finding.object,
            "function": model.function.qualname,
            "status": model.status,
            "why": model.why,
            "schedules": model.tried,
            "complete": model.complete,
            "at_random": model.at_random,
            "pauses": [list(pause) for pause in model.pauses],
            "outcome": dict(model.outcome),
            "one_after_the_other": [dict(one) for one in model.serial],
            "evidence": model.evidence if model.status == "fails" else "",
            "arguments_from": model.arguments.get("from"),
            "test": None if kept is None else str(kept[0]),
        }
