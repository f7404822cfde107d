"""A small model of each finding: two calls of its function under every simple schedule."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lanewise.errors import AuditError
from lanewise.readiness.dependencies.probe import ChildEndedError, Probe, start
from lanewise.readiness.stress.subjects import FunctionPlace, Subject, import_name_of
from lanewise.readiness.stress.suite import FAR_SIDE, HERE

RULES = ("FT101", "FT102", "FT103", "FT104", "FT105", "FT106")
SHARING = ("FT105", "FT106")
"""Their hazard is that two calls have something in common at all; it needs no schedule."""

# An import, and beyond the budget one schedule that does not come to its end.
_MARGIN_S = 60.0

Status = Literal["fails", "holds", "no model"]


@dataclass(frozen=True, slots=True)
class Model:
    """What came of exploring one finding.

    Attributes:
        subject: The finding.
        function: The function that is called twice.
        status: ``fails``: a schedule was found that no order of the two calls explains; ``holds``:
            none was; ``no model``: nothing could be run.
        why: Without a model, the reason and the next step.
        tried: How many schedules were run.
        complete: With ``holds``: every schedule with at most one pause for each thread was.
        at_random: How many of them were chosen at random, for want of time to try all.
        first: Which thread begins.
        pauses: Where threads yield: thread, function, line's text, what it is about to do, which
            time.
        line: The line of the first pause, or None.
        outcome: What the two calls came to under the schedule, by parts.
        serial: What both orders of them come to.
        differs: The parts that neither order explains.
        raised_at: The project's lines that raised under the schedule: file, line.
        arguments: Where arguments are from, and which.
        made_at: Texts of the lines on which the object is made, for rules about making twice.
    """

    subject: Subject
    function: FunctionPlace
    status: Status
    why: str = ""
    tried: int = 0
    complete: bool = False
    at_random: int = 0
    first: int = 0
    pauses: tuple[tuple[int, str, str, str, int], ...] = ()
    line: int | None = None
    outcome: Mapping[str, str] = field(default_factory=dict)
    serial: tuple[Mapping[str, str], ...] = ()
    differs: tuple[str, ...] = ()
    raised_at: tuple[tuple[str, int], ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    made_at: tuple[str, ...] = ()

    @property
    def is_tied(self) -> bool:
        """Whether what goes wrong is the finding's: by its object, or by its lines."""
        if self.status != "fails":
            return False
        if {"object", "made"} & set(self.differs) or self.line in self.function.lines:
            return True
        if self.subject.finding.rule == "FT104" and "ended the process" in self.outcome.get(
            "first call", ""
        ):
            return True  # which is just what two that advance one generator may do
        return any(
            file == self.function.file and line in self.function.lines
            for file, line in self.raised_at
        )

    @property
    def evidence(self) -> str:
        """What goes wrong, in a sentence."""
        name = self.function.qualname
        if self.subject.finding.rule in SHARING:
            return (
                f"one call of {name} leaves {self.outcome.get('object', '?')} to the next, which would "
                f"have found {self.serial[0].get('object', '?')} alone"
            )
        raises = [one for one in self.differs if self.outcome.get(one, "").startswith("raised")]
        order = ("made", *raises, "object", *self.differs)
        part = next(one for one in order if one in self.differs)
        orders = " or ".join(dict.fromkeys(one.get(part, "?") for one in self.serial))
        words = {"made": "it is made", "object": "the object ends as"}.get(part, f"the {part}")
        times = " times" if part == "made" else ""
        return (
            f"two calls of {name}, one paused {self.pause_words}: {words} "
            f"{self.outcome.get(part, '?')}{times}, one after the other {orders}"
        )

    @property
    def pause_words(self) -> str:
        """Where the threads are paused."""
        return " and one ".join(
            f"in {of} before `{what}` of `{at}`" for _, of, at, what, _ in self.pauses
        )


@dataclass(frozen=True, slots=True)
class Modelling:
    """How to explore.

    Attributes:
        python: The interpreter; None for the one that runs this.
        root: The project's folder.
        budget_s: Seconds for one finding.
        factories: The user's file with arguments, or None.
        recorded: Arguments that the project's tests were seen to give, by the function's dotted
            name.
    """

    root: Path
    python: str | None = None
    budget_s: float = 10.0
    factories: Path | None = None
    recorded: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def explore(
    subjects: Sequence[Subject],
    how: Modelling,
    tell: Callable[[Subject], None],
    may_go_on: Callable[[], bool],
) -> Iterator[Model]:
    """Explore each finding of a rule that has models, in a child of its own.

    Raises:
        AuditError: The interpreter cannot be started.
    """
    for subject in subjects:
        if subject.finding.rule not in RULES:
            continue
        if not may_go_on():
            yield Model(
                subject,
                subject.functions[0],
                "no model",
                why="there was no time left for it: --stress-budget",
            )
            continue
        tell(subject)
        found = [_explored(subject, function, how) for function in subject.functions[:2]]
        order = ("fails", "holds", "no model")
        yield min(found, key=lambda one: (not one.is_tied, order.index(one.status)))


def _explored(subject: Subject, function: FunctionPlace, how: Modelling) -> Model:
    made_at = _made_at(subject, function)
    question = {**question_of(subject, function, how, made_at), "lines": list(function.lines)}
    probe = probe_of(how.python, (subject.path,), str(how.root))
    try:
        with start(probe) as child:
            answer = child.ask(question, how.budget_s + _MARGIN_S)
    except ChildEndedError as error:
        answer = {"status": "no model", "why": f"the process that holds it ended: {error}"}
    if "status" not in answer:
        answer = {"status": "no model", "why": answer.get("error", "it gave no answer")}
    return Model(
        subject=subject,
        function=function,
        status=answer["status"],
        why=answer.get("why", ""),
        tried=answer.get("tried", 0),
        complete=answer.get("complete", False),
        at_random=answer.get("at_random", 0),
        first=answer.get("first", 0),
        pauses=tuple(tuple(pause) for pause in answer.get("pauses", ())),
        line=answer.get("line"),
        outcome=answer.get("outcome", {}),
        serial=tuple(answer.get("serial", ())),
        differs=tuple(answer.get("differs", ())),
        raised_at=tuple((file, line) for file, line in answer.get("raised_at", ())),
        arguments=answer.get("arguments", {}),
        made_at=made_at,
    )


def probe_of(python: str | None, paths: Sequence[str], cwd: str | None = None) -> Probe:
    """Return the child in which two calls are run."""
    return Probe(
        script=str(HERE / "_package_loader.py"),
        python=python,
        cwd=cwd,
        options={**FAR_SIDE, "module": "two_calls", "paths": list(paths)},
        timeout_s=_MARGIN_S,
    )


def question_of(
    subject: Subject, function: FunctionPlace, how: Modelling, made_at: Sequence[str]
) -> dict[str, Any]:
    """Return what the far side is asked."""
    return {
        "rule": subject.finding.rule,
        "module": import_name_of(Path(function.file), Path(subject.path))[0],
        "function": function.qualname,
        "object": subject.object,
        "object_module": subject.object_module,
        "made_at": list(made_at),
        "roots": [str(how.root)],
        "recorded": {name: dict(one) for name, one in how.recorded.items()},
        "factories": None if how.factories is None else str(how.factories),
        "budget_s": how.budget_s,
    }


def _made_at(subject: Subject, function: FunctionPlace) -> tuple[str, ...]:
    """Where the finding's object is made; not where that is no more than work done twice."""
    if subject.finding.rule not in ("FT102", "FT103") or subject.finding.level == "info":
        return ()
    return tuple(linecache.getline(function.file, line).strip() for line in function.lines)


def check_factories(path: Path | None) -> None:
    """Make sure that there is a file.

    Raises:
        AuditError: There is none.
    """
    if path is not None and not path.is_file():
        raise AuditError(
            f"{path} does not exist: write it, with FACTORIES = "
            "{'package.module.function': lambda: (args, kwargs)}"
        )
