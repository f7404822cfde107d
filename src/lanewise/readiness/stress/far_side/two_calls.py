"""Two calls under one schedule, each try in a fork; and which schedules there are.

Correct code behaves as if the two calls came one after the other, in either order. What a schedule
leads to is therefore compared with both orders: what was returned and raised, the shared object,
and who got the same object as whom. What differs from run to run by itself (clocks, random numbers)
is not compared.

Schedules are tried in the order of their simplicity, while the budget lasts: one pause of one
thread at every step, then one pause of each (most hazards need no more: Musuvathi and Qadeer,
Iterative context bounding, 2007). Where that does not end in time, the last part of it goes to
schedules at random (``at_random.py``).
"""

from __future__ import annotations

import inspect
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType, FrameType
from typing import Any

from . import locks
from .at_random import schedules_at_random
from .encode import Encoder
from .forks import in_fork
from .scheduler import DeadlockError, Pause, Scheduler
from .steps import Step, Watch, codes_below
from .targets import NEVER, NoModelError, Target

Outcome = dict[str, Any]
_TRY_S = 10.0
_MOST_TRACE = 3000
_SHARE_AT_RANDOM = 0.4
# On a machine that has no core for us a thread may look as if it waited; seldom three times.
_TIMES_WHERE_UNCLEAR = 3
_PARTS = ("first call", "second call", "object", "made")
# Their hazard is that two calls share at all: it needs no schedule, and no lock mends it.
_SHARING = ("FT105", "FT106")
# What is made on first use is made once, whatever it is worth.
_MADE_ONCE = ("FT102", "FT103")


def prepare(options: Mapping[str, Any]) -> dict[str, Any]:
    """Put locks of our own in place, before anything of the user's is imported."""
    locks.install()
    # In front: the files that were audited, not another copy that is installed.
    sys.path[:0] = [entry for entry in options.get("paths", ()) if entry not in sys.path]
    return {}


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Explore one finding, or with ``schedule`` replay one: what two calls came to."""
    try:
        model = _Model(question)
        if "schedule" in question:
            return model.replayed(question["schedule"])
        return model.explored(float(question["budget_s"]))
    except NoModelError as error:
        return {"status": "no model", "why": str(error)}


class _Model:
    """One function, called twice."""

    def __init__(self, question: Mapping[str, Any]) -> None:
        self._rule = question["rule"]
        self._lines = set(question.get("lines", ()))
        self._acts = set(question.get("made_at", ())) if self._rule in _MADE_ONCE else set()
        self._question = question
        self.tried = 0
        target = Target(
            question
        )  # what stands in the way of a call is told before anything is forked
        self._given = {"arguments": target.arguments}
        self._roots = [*question.get("roots", ()), target.root]
        self._codes = self._called()

    def _called(self) -> list[CodeType]:
        """The project's functions that one call runs."""

        def work() -> dict[str, Any]:
            target = Target(self._question)
            call = target.call_on(target.shared_instance())
            seen: set[tuple[str, int]] = set()

            def note(frame: FrameType, event: str, _argument: Any) -> None:
                if event == "call":
                    seen.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

            try:
                sys.setprofile(note)
                try:
                    call()
                finally:
                    sys.setprofile(None)
            except Exception as error:  # noqa: BLE001 - because: anything may come out of the user's call
                return {"raised": repr(error), "seen": sorted(seen)}
            return {"seen": sorted(seen)}

        found = self._told(in_fork(_explained(work), _TRY_S))
        if "raised" in found:
            raise NoModelError(
                f"a call alone raises {found['raised']} with arguments from {self._from()}: write a "
                "factory that makes fitting ones, and give its file with --factories"
            )
        seen = {(file, line) for file, line in found["seen"]}
        return codes_below(
            self._roots, wanted=lambda code: (code.co_filename, code.co_firstlineno) in seen
        )

    def _from(self) -> str:
        return str(self._given["arguments"]["from"])

    def _told(self, found: dict[str, Any]) -> dict[str, Any]:
        if "no model" in found:
            raise NoModelError(found["no model"])
        if "hung" in found:
            raise NoModelError(f"a call alone does not end within {_TRY_S:g} s")
        if "seen" not in found:
            raise NoModelError(f"a call alone ends the process: {found}")
        return found

    # --- one try ----------------------------------------------------------------------------------

    def once(self, first: int, pauses: Sequence[Pause], calls: int = 2) -> Outcome:
        """Run the calls under a schedule, in a fork."""
        self.tried += 1
        found = in_fork(_explained(lambda: self._run(first, pauses, calls)), _TRY_S)
        if "no model" in found:
            raise NoModelError(found["no model"])
        if "signal" in found or "exit" in found:
            return {"parts": {"first call": _end_words(found)}, "trace": []}
        if "hung" in found:
            return {"unclear": True, "trace": [], "parts": {}}
        return found

    def _run(self, first: int, pauses: Sequence[Pause], calls: int) -> Outcome:
        target = Target(self._question)
        sharing = self._rule in _SHARING
        one = target.shared_instance() if not sharing else _new(target)
        instances = [one, _new(target) if sharing else one]
        scheduler = Scheduler(first, pauses)
        results: list[Any] = [None] * 2
        raised: list[str | None] = [None] * 2
        raised_at: list[list[Any]] = []
        looked: list[str] = []

        def look(when: str) -> None:
            if sharing:
                looked.append(f"{when}: {Encoder().encode(target.shared_object(instances[1]))}")

        def caller(index: int) -> Any:
            call = target.call_on(instances[index])

            def run() -> None:
                if index >= calls:
                    return
                try:
                    results[index] = call()
                except DeadlockError:
                    raised[index] = "waits for a lock that the other one holds"
                except BaseException as error:  # noqa: BLE001 - because: SystemExit is an outcome too
                    raised_at.extend(_lines(error, self._codes))
                    raised[index] = f"raised {type(error).__name__}: {error}"

            return run

        callers = [caller(0), caller(1)]
        look("before")
        locks.use(scheduler)
        watch = Watch(self._codes, scheduler.point)
        watch.start()
        in_time = scheduler.run(callers, _TRY_S * 0.8, watch.join)
        look("after")
        encoder = Encoder()
        shared = target.shared_object(instances[1] if sharing else one)
        parts = {
            name: raised[index] or f"returned {encoder.encode(results[index])}"
            for index, name in enumerate(_PARTS[:2])
        }
        if shared is not NEVER:
            parts["object"] = encoder.encode(shared)
        if self._acts:
            parts["made"] = str(sum(1 for _, step in scheduler.trace if self._is_act(step)))
        return {
            "parts": parts,
            "looked": looked,
            "is default": shared is not NEVER and any(one is shared for one in results[:calls]),
            "trace": [[index, *step] for index, step in scheduler.trace[:_MOST_TRACE]],
            "unclear": scheduler.unclear or not in_time,
            "deadlock": scheduler.deadlock,
            "raised_at": raised_at,
            "reached": scheduler.reached,
        }

    def _is_act(self, step: Step) -> bool:
        return step.at in self._acts and step.what.startswith("store")

    # --- what is compared -------------------------------------------------------------------------

    def serial(self) -> tuple[list[dict[str, str]], list[str]]:
        """The outcomes of both orders, and the parts that can be compared."""
        outcomes = [self.once(first, ()) for first in (0, 1, 0, 1)]
        if any(one["unclear"] for one in outcomes):
            raise NoModelError("the two calls do not come to their ends one after the other")
        steady = [
            part
            for part in outcomes[0]["parts"]
            if all(
                outcomes[order]["parts"].get(part) == outcomes[order + 2]["parts"].get(part)
                for order in (0, 1)
            )
        ]
        if not steady:
            raise NoModelError("what the calls do differs from run to run by itself")
        self._traces = [outcomes[0]["trace"], outcomes[1]["trace"]]
        return [one["parts"] for one in outcomes[:2]], steady

    def _differs(
        self, found: Outcome, serial: Sequence[Mapping[str, str]], steady: Sequence[str]
    ) -> list[str]:
        """The parts in which an outcome is that of neither order; empty where it is one of them."""
        if found.get("unclear"):
            return []
        if found.get("deadlock"):
            return ["first call"]
        parts = found["parts"]
        differing = [
            [part for part in steady if part in parts and parts[part] != order.get(part)]
            for order in serial
        ]
        return min(differing, key=len)

    # --- which schedules --------------------------------------------------------------------------

    def explored(self, budget_s: float) -> dict[str, Any]:
        """Look for a schedule that no order of the two calls explains."""
        if self._rule in _SHARING:
            return self._shared()
        deadline = time.monotonic() + budget_s
        self._check_iterator()
        serial, steady = self.serial()
        if self._lines and not any(line in self._lines for *_, line in self._traces[0]):
            raise NoModelError(
                f"called with arguments from {self._from()} it does not come to line "
                f"{min(self._lines, default=0)}: write a factory that leads there"
            )
        told = {"complete": False, "at_random": 0}
        for first, pauses in self._chosen(deadline, budget_s * _SHARE_AT_RANDOM, told):
            found = self.once(first, pauses)
            self._last = found["trace"]
            differs = self._differs(found, serial, steady)
            if differs and self._differs(self.once(first, pauses), serial, steady):
                return self._failing(first, pauses, found, serial, differs)
        return {"status": "holds", "tried": self.tried, **told, **self._given}

    def _chosen(
        self, deadline: float, at_random_s: float, told: dict[str, Any]
    ) -> Iterator[tuple[int, list[Pause]]]:
        """Yield schedules in order, and in the last part of the time at random where those do not end.

        Args:
            deadline: When to stop.
            at_random_s: How much of the time before is kept for chance.
            told: Where to note whether all were yielded, and how many were chosen at random.
        """
        for schedule in self._schedules(deadline - at_random_s):
            if schedule is None:
                told["complete"] = True
                return
            yield schedule
        places = [self._places(self._traces[thread], thread) for thread in (0, 1)]
        question = self._question
        seed = f"{question['module']}.{question['function']} {self._rule}"
        for schedule in schedules_at_random(places, seed):
            if time.monotonic() > deadline:
                return
            told["at_random"] += 1
            yield schedule

    def _check_iterator(self) -> None:
        """What C code does to its own state happens between two steps: no schedule can pause it."""
        if self._rule != "FT104":
            return
        target = Target(self._question)
        shared = target.shared_object(None)
        if shared is not NEVER and not hasattr(type(shared), "send"):
            advance = getattr(type(shared), "__next__", None)
            if not inspect.isfunction(advance):
                raise NoModelError(
                    f"{type(shared).__name__} is advanced by C code, within which no thread can be "
                    "paused: only a free-threaded build shows what comes of it"
                )

    def _failing(
        self,
        first: int,
        pauses: Sequence[Pause],
        found: Outcome,
        serial: Sequence[Mapping[str, str]],
        differs: Sequence[str],
    ) -> dict[str, Any]:
        return {
            "status": "fails",
            "tried": self.tried,
            "first": first,
            "pauses": [list(pause) for pause in pauses],
            "line": self._line_of(pauses),
            "outcome": found["parts"],
            "raised_at": found.get("raised_at", []),
            "serial": list(serial),
            "differs": list(differs),
            **self._given,
        }

    def _line_of(self, pauses: Sequence[Pause]) -> int | None:
        for trace in self._traces:
            for _, of, at, what, line in trace:
                if pauses and (of, at, what) == pauses[0][1:4]:
                    return int(line)
        return None

    def _schedules(self, deadline: float) -> Iterator[tuple[int, list[Pause]] | None]:
        """Yield schedules, the simplest first; None after the last with a pause for each thread."""
        openings = [
            (first, pause) for first in (0, 1) for pause in self._places(self._traces[first], first)
        ]
        named = {
            (of, at)
            for trace in self._traces
            for _, of, at, _, line in trace
            if line in self._lines
        }
        openings.sort(key=lambda one: _rank(one[1], named))
        followed: list[tuple[int, Pause, list[Any]]] = []
        for first, pause in openings:
            if time.monotonic() > deadline:
                return
            yield first, [pause]
            followed.append((first, pause, self._last))
        for first, pause, trace in followed:
            for second in self._places(trace, 1 - first):
                if time.monotonic() > deadline:
                    return
                yield first, [pause, second]
        yield None

    def _places(self, trace: Sequence[Any], thread: int) -> list[Pause]:
        """Every step of one thread's as a pause before it."""
        counts: Counter[tuple[str, str, str]] = Counter()
        places: list[Pause] = []
        for index, of, at, what, _ in trace:
            if index == thread:
                counts[of, at, what] += 1
                places.append(Pause(thread, of, at, what, counts[of, at, what]))
        return places

    def _shared(self) -> dict[str, Any]:
        """Two calls that should have nothing in common: does one see what the other did?"""
        alone, again = self.once(0, (), calls=1), self.once(0, (), calls=1)
        self._traces = [alone["trace"], alone["trace"]]
        if len(alone["looked"]) < len(("before", "after")):
            raise NoModelError("what it shares cannot be looked at from outside")
        if alone["looked"] != again["looked"]:
            raise NoModelError("what the calls do differs from run to run by itself")
        before, after = (text.partition(": ")[2] for text in alone["looked"])
        if before == after and not alone["is default"]:
            return {"status": "holds", "tried": self.tried, "complete": True, **self._given}
        both = self.once(0, ())
        parts = {**both["parts"], "object": after}
        return self._failing(
            0, (), {"parts": parts}, [{**alone["parts"], "object": before}], ["object"]
        )

    # --- again ------------------------------------------------------------------------------------

    def replayed(self, schedule: Mapping[str, Any]) -> dict[str, Any]:
        """Run one schedule and compare it; explore where the code has such steps no more."""
        if self._rule in _SHARING:
            return self._shared()
        serial, steady = self.serial()
        pauses = [Pause(*pause) for pause in schedule["pauses"]]
        for _ in range(_TIMES_WHERE_UNCLEAR):
            found = self.once(schedule["first"], pauses)
            if not found.get("unclear"):
                break
        if not found.get("reached", True):
            return self.explored(float(self._question["budget_s"]))
        differs = self._differs(found, serial, steady)
        status = "fails" if differs else "unclear" if found.get("unclear") else "holds"
        return {
            "status": status,
            "outcome": found["parts"],
            "serial": serial,
            "differs": differs,
            **self._given,
        }


def _end_words(found: Mapping[str, Any]) -> str:
    if "signal" in found:
        return f"ended the process by signal {found['signal']}"
    return f"ended the process with exit code {found['exit']}"


def _new(target: Target) -> Any:
    return target.new_instance() if target.is_method else None


def _rank(pause: Pause, named: set[tuple[str, str]]) -> tuple[bool, bool]:
    """The lines that the finding names first, and there before a change, where most is lost."""
    return (
        (pause.of, pause.at) not in named,
        not pause.before.startswith(("store", "delete", "call", "yield")),
    )


def _lines(error: BaseException, codes: Sequence[CodeType]) -> list[list[Any]]:
    """The innermost of the project's lines that an exception came from."""
    files = {code.co_filename for code in codes}
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in files]
    return [[frames[-1].filename, frames[-1].lineno]] if frames else []


def _explained(work: Any) -> Any:
    """In a fork: why there is no model is an answer."""

    def wrapped() -> dict[str, Any]:
        try:
            found: dict[str, Any] = work()
        except NoModelError as error:
            return {"no model": str(error)}
        return found

    return wrapped
