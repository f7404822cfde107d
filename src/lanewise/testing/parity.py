"""Does a task mean the same on every lane? ``check_parity`` runs it on each and compares."""

from __future__ import annotations

import asyncio
import math
import os
import pickle
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lanewise.errors import LaneUnavailableError, LanewiseError, NotPortableError
from lanewise.lanes.resolve import plain_function
from lanewise.model.lane import SHARING_MEMORY, LaneName
from lanewise.model.task import DEFAULT_VARIANT, Task, as_task
from lanewise.runtime.effects import OF_MODULE, Effects
from lanewise.runtime.runtime import Runtime

Verdict = Literal["portable", "needs isolation", "depends on the lane", "not portable"]

# Those on which a call works with its caller's own objects come first: what it does to them shows there.
_LANES: tuple[LaneName, ...] = ("event_loop", "thread", "process", "interpreter")
# The first call fills caches and makes what is made once; the second shows what that changed.
_TIMES = 2


@dataclass(frozen=True, slots=True)
class Observed:
    """One call, as it was where it ran.

    Attributes:
        result: What it returned; None where it raised.
        error: What it raised, in words, or None.
        effects: What it changed beside that, in words: see :class:`lanewise.runtime.effects.Effects`.
    """

    result: Any
    error: str | None
    effects: tuple[str, ...]


def observed(task: Callable[..., Any], variant: str, args: tuple[Any, ...]) -> Observed:
    """Call a function and note what changed. On whatever lane; nothing else may run beside it there."""
    function = plain_function(task, variant)
    effects = Effects(function, args, {})
    result, error = None, None
    try:
        result = function(*args)
    except Exception as raised:  # noqa: BLE001 - because: that it raises is what is compared
        error = f"{type(raised).__name__}: {raised}"
    return Observed(result, error, tuple(effects.changes()))


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What :func:`check_parity` found.

    Attributes:
        task: Its name.
        lanes: On which it ran.
        left_out: Those on which it could not, with the reason.
        differences: What differs between lanes, or from one call to the next, in words.
        effects: What calls changed beside returning a result, in words. On lanes that share memory the
            caller sees it, on others it does not.
        notes: State of the module that first calls alone changed: mostly a cache.
    """

    task: str
    lanes: tuple[LaneName, ...]
    left_out: dict[LaneName, str]
    differences: tuple[str, ...]
    effects: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """What to make of it: may it go to any lane, or what keeps it from that."""
        if self.differences:
            return "depends on the lane"
        if self.effects:
            return "needs isolation"
        return "not portable" if not {*self.lanes} - {*SHARING_MEMORY} else "portable"

    @property
    def ok(self) -> bool:
        """Whether it means the same on every lane that is there."""
        return self.verdict == "portable"

    def __str__(self) -> str:
        advice = {
            "portable": "it means the same on every lane",
            "needs isolation": 'declare it @task(isolation="required"), or have it work on copies',
            "depends on the lane": "what it does rests on something that lanes do not share",
            "not portable": "it cannot leave the caller's memory: see what its arguments hold",
        }[self.verdict]
        lines = [f"{self.task}: {self.verdict}: {advice}", f"  ran on {', '.join(self.lanes)}"]
        lines += [f"  {one}" for one in (*self.differences, *self.effects, *self.notes)]
        lines += [f"  not on {lane}: {why}" for lane, why in self.left_out.items()]
        return "\n".join(lines)


def check_parity(
    task: Callable[..., Any],
    inputs: Iterable[tuple[Any, ...]] | tuple[Any, ...],
    *,
    lanes: Sequence[LaneName] = _LANES,
) -> ParityReport:
    """Run a task on every lane and compare what it returns, raises and changes.

    ::

        report = check_parity(match, [(["a", "b"], 0.9), ([], 0.5)])
        assert report.ok, report

    Each input is used twice on each lane, from a fresh copy, one call at a time. Compared are results and
    exceptions; noted are changes of the arguments, of globals and class attributes of the task's module,
    of the environment, the working directory, the locale, the filters of warnings and ``sys.path``.

    Args:
        task: A task or a function that worker processes can import. Each variant is compared.
        inputs: Tuples of arguments; one tuple of anything else is the arguments of a single call. They
            must be picklable.
        lanes: Restricts the lanes.

    Raises:
        ValueError: There is nothing to run it on or with.
        NotPortableError: An input cannot be copied.

    Threads: may be called from any, and where an event loop runs; it has a thread and a loop of its own,
    and returns when all calls have ended.
    """
    described = as_task(task)
    cases = _cases(inputs)
    copies = [_packed(described.name, case) for case in cases]
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(_compared(described, copies, tuple(lanes))))
        except BaseException as error:  # noqa: BLE001 - because: it is raised where somebody sees it
            outcome.append(error)

    thread = threading.Thread(target=run, name="lanewise-parity")
    thread.start()
    thread.join()
    (found,) = outcome
    if isinstance(found, BaseException):
        raise found
    report: ParityReport = found
    return report


def _cases(inputs: Iterable[tuple[Any, ...]] | tuple[Any, ...]) -> list[tuple[Any, ...]]:
    if isinstance(inputs, tuple) and not all(isinstance(one, tuple) for one in inputs):
        return [inputs]
    cases = [*inputs]
    wrong = next((one for one in cases if not isinstance(one, tuple)), None)
    if wrong is not None:
        raise ValueError(
            f"inputs hold {wrong!r}: give a tuple of arguments for each call, as in [(rows, 0.9)]"
        )
    if not cases:
        raise ValueError("there are no inputs to run the task with")
    return cases


def _packed(name: str, case: tuple[Any, ...]) -> bytes:
    try:
        return pickle.dumps(case, 5)
    except Exception as error:
        raise NotPortableError(
            f"an input of {name} cannot be pickled, so no lane can be given a copy of it: {error}"
        ) from error


async def _compared(
    task: Task[..., Any], copies: list[bytes], lanes: tuple[LaneName, ...]
) -> ParityReport:
    seen: dict[tuple[str, LaneName], list[Observed]] = {}
    left_out: dict[LaneName, str] = {}
    for lane in lanes:
        surroundings = dict(os.environ), Path.cwd()
        try:
            async with Runtime(lanes=(lane,), processes=1, threads=1) as runtime:
                for variant in task.variants:
                    seen[variant, lane] = [
                        await runtime.run(observed, task.reference, variant, pickle.loads(copy))  # noqa: S301 - because: packed above
                        for copy in copies
                        for _ in range(_TIMES)
                    ]
        except (LaneUnavailableError, NotPortableError) as error:
            left_out[lane] = str(error)
            for variant in task.variants:
                seen.pop((variant, lane), None)
        finally:
            _put_back(*surroundings)
    ran = tuple(lane for lane in lanes if (DEFAULT_VARIANT, lane) in seen)
    if not ran:
        raise LanewiseError(
            f"{task.name} ran on no lane: "
            + "; ".join(f"{at}: {why}" for at, why in left_out.items())
        )
    return ParityReport(
        task=task.name,
        lanes=ran,
        left_out=left_out,
        differences=tuple(dict.fromkeys(_differences(seen))),
        effects=tuple(dict.fromkeys(_effects(seen, at_first=False))),
        notes=tuple(dict.fromkeys(_effects(seen, at_first=True))),
    )


def _put_back(environment: dict[str, str], directory: Path) -> None:
    """Let neither the next lane nor the caller inherit what calls have done to this process."""
    for name in [*os.environ]:
        if name not in environment:
            del os.environ[name]  # lanewise: ok(FT108: what calls have changed is put back)
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value  # lanewise: ok(FT108: as above)
    os.chdir(directory)  # lanewise: ok(FT108: as above)


def _differences(seen: dict[tuple[str, LaneName], list[Observed]]) -> Iterable[str]:
    for (variant, lane), calls in seen.items():
        for first, second in zip(calls[::_TIMES], calls[1::_TIMES], strict=True):
            if not _alike(first, second):
                yield f"on {lane} the second call with the same arguments gives something else"
        at, other = next((key, found) for key, found in seen.items() if key[0] == variant)
        for mine, theirs in zip(calls, other, strict=True):
            if not _alike(mine, theirs):
                yield f"{lane} gives {_told(mine)}, {at[1]} gives {_told(theirs)}"
        for mine, theirs in zip(calls, seen.get((DEFAULT_VARIANT, lane), calls), strict=True):
            if not _alike(mine, theirs):
                yield f"variant {variant} gives {_told(mine)} where default gives {_told(theirs)}"


def _effects(seen: dict[tuple[str, LaneName], list[Observed]], *, at_first: bool) -> Iterable[str]:
    """What calls changed; ``at_first`` what only first calls did, as those do that fill a cache."""
    for (_, lane), calls in seen.items():
        again = {effect for call in calls[1::_TIMES] for effect in call.effects}
        for effect in dict.fromkeys(effect for call in calls for effect in call.effects):
            if at_first != (effect.endswith(OF_MODULE) and effect not in again):
                continue
            text = f"{effect}, on {lane}" + (
                "" if lane in SHARING_MEMORY else ", where nobody sees it"
            )
            yield text + (", by the first call alone" if at_first else "")


def _alike(one: Observed, other: Observed) -> bool:
    return one.error == other.error and _equal(one.result, other.result)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    try:
        if bool(one == other):
            return True
    except Exception:  # noqa: BLE001, S110 - because: arrays have no single truth; their pickles tell
        pass
    try:
        return pickle.dumps(one, 5) == pickle.dumps(other, 5)
    except Exception:  # noqa: BLE001 - because: then nothing says that they are alike
        return False


def _told(seen: Observed) -> str:
    text = seen.error or repr(seen.result)
    return text if len(text) <= 60 else text[:57] + "..."
