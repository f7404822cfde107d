"""One task, variant and size, made ready to be called again and again."""

from __future__ import annotations

import math
import numbers
import pickle
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lanewise.errors import MeasureError
from lanewise.measuring.statistics import median
from lanewise.model.size import arguments_bytes
from lanewise.model.task import Task, Variant

# Pickling is timed until this much time is spent, and at least twice.
_PICKLE_TIME_S = 0.02
_PICKLE_REPEATS = 9
# Copies that a task which changes its arguments is given; the most that is kept ready at once.
_MAX_READY_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Case:
    """Arguments and what is known of one call of them. Owned by the bench's main thread.

    Attributes:
        unportable: Why the call cannot cross to a process, or None.
        mutates: The call changed its arguments, or may have: every call is given fresh ones.
    """

    task: Task[..., Any]
    variant: Variant
    size: float
    args: tuple[Any, ...]
    result: Any
    args_after: tuple[Any, ...]
    first_call_s: float
    call_size: float
    args_bytes: int | None
    result_bytes: int | None
    pickle_s: float | None
    unportable: str | None
    mutates: bool

    def fresh_arguments(self, count: int) -> list[tuple[Any, ...]]:
        """Return arguments for ``count`` calls: the same ones, or as many copies as memory allows."""
        if not self.mutates:
            return [self.args] * count
        each = self.args_bytes or arguments_bytes(self.args, {})
        limit = max(1, _MAX_READY_BYTES // max(1, each))
        return [make_arguments(self.task, self.size) for _ in range(min(count, limit))]


def make_arguments(task: Task[..., Any], size: float) -> tuple[Any, ...]:
    """Call the task's ``inputs``.

    A tuple is the arguments; anything else is the only argument.

    Raises:
        MeasureError: There are no ``inputs``, or they raise.
    """
    if task.inputs is None:
        raise MeasureError(f"task {task.name} declares no inputs")
    try:
        made: Any = task.inputs(size)
    except Exception as error:
        raise MeasureError(
            f"inputs({size}) of {task.name} raised {type(error).__name__}: {error}. "
            "It must return a tuple of arguments for any size on the ladder"
        ) from error
    return made if isinstance(made, tuple) else (made,)


def make_case(task: Task[..., Any], variant: Variant, size: float) -> Case:
    """Make arguments, call once, and learn what crosses.

    Raises:
        MeasureError: The inputs or the call raised.
    """
    args = make_arguments(task, size)
    before, args_problem = _try_pickle(args)
    call_size = _call_size(task, args, size)  # now: a call may empty its arguments
    started = time.perf_counter()
    result = call_once(task, variant, size, args)
    first_call_s = time.perf_counter() - started
    after, _ = _try_pickle(args)
    reply, result_problem = _try_pickle(result)
    # Of arguments that cannot be pickled nobody can tell whether the call uses them up (an iterator
    # would be empty the second time), so those are made anew for every call as well.
    mutates = before is None or before != after
    case = Case(
        task=task,
        variant=variant,
        size=size,
        args=make_arguments(task, size) if mutates else args,
        result=result,
        args_after=args,
        first_call_s=first_call_s,
        call_size=call_size,
        args_bytes=None if before is None else len(before),
        result_bytes=None if reply is None else len(reply),
        pickle_s=None,
        unportable=_why_unportable(task, args_problem, result_problem),
        mutates=mutates,
    )
    if before is not None and reply is not None:
        case.pickle_s = _time_pickling(case.args, reply)
    return case


def call_once(task: Task[..., Any], variant: Variant, size: float, args: tuple[Any, ...]) -> Any:
    """Call a variant once.

    Raises:
        MeasureError: It raised; the message names the exception and where it came from.
    """
    try:
        return variant.function(*args)
    except (Exception, SystemExit) as error:
        raise MeasureError(
            f"{task.name} ({variant.name}) raised {type(error).__name__} at size {size}: {error}"
            f"{_raised_at(error)}. Check what its inputs give for that size"
        ) from error


def _raised_at(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"


def _call_size(task: Task[..., Any], args: tuple[Any, ...], size: float) -> float:
    try:
        return task.size_of(args)
    except Exception as error:
        raise MeasureError(
            f"size(...) of {task.name} raised {type(error).__name__} for the arguments that "
            f"inputs({size}) made: {error}. It must take the same arguments as the task"
        ) from error


def _try_pickle(value: Any) -> tuple[bytes | None, str | None]:
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL), None
    except Exception as error:  # noqa: BLE001 - because: __reduce__ of user classes may raise anything
        return None, f"{type(error).__name__}: {error}"


def _why_unportable(
    task: Task[..., Any], args_problem: str | None, result_problem: str | None
) -> str | None:
    _, function_problem = _try_pickle(task.reference)
    for what, problem in (
        ("the function", function_problem),
        ("an argument", args_problem),
        ("the result", result_problem),
    ):
        if problem is not None:
            return f"{what} cannot be pickled ({problem})"
    return None


def _time_pickling(args: tuple[Any, ...], reply: bytes) -> float:
    """Seconds of the loop's side per call: pickling the arguments, unpickling the result."""
    times: list[float] = []
    spent = 0.0
    while len(times) < 2 or (spent < _PICKLE_TIME_S and len(times) < _PICKLE_REPEATS):  # noqa: PLR2004 - because: the first one warms the caches
        started = time.perf_counter()
        pickle.dumps(args, pickle.HIGHEST_PROTOCOL)
        pickle.loads(reply)  # noqa: S301 - because: pickled by this process a moment ago
        times.append(time.perf_counter() - started)
        spent += times[-1]
    return median(times)


def effects_equal(expected: Case, got: Case) -> bool:
    """Compare what two variants made of the same call: the result, and arguments that it changed.

    Raises:
        MeasureError: The declared ``equal`` raised.
    """
    if not results_equal(expected.result, got.result, got.variant):
        return False
    # A call that works in place answers None; what it made of its arguments is its result.
    in_place = expected.result is None and expected.mutates and expected.args_bytes is not None
    return not in_place or _same(expected.args_after, got.args_after, got.variant.tolerance)


def results_equal(expected: Any, got: Any, variant: Variant) -> bool:
    """Compare two results the way that the variant declares.

    Raises:
        MeasureError: The declared ``equal`` raised.
    """
    if variant.equal is not None:
        try:
            return bool(variant.equal(expected, got))
        except Exception as error:
            raise MeasureError(
                f"equal(...) of variant {variant.name} raised {type(error).__name__}: {error}"
            ) from error
    return _same(expected, got, variant.tolerance)


def _same(expected: Any, got: Any, tolerance: float) -> bool:
    if isinstance(expected, numbers.Real) and isinstance(got, numbers.Real):
        return _same_number(expected, got, tolerance)
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        return expected.keys() == got.keys() and all(
            _same(value, got[key], tolerance) for key, value in expected.items()
        )
    if _is_row(expected) and _is_row(got):
        return len(expected) == len(got) and all(
            _same(one, other, tolerance) for one, other in zip(expected, got, strict=True)
        )
    if hasattr(expected, "shape") or hasattr(got, "shape"):
        return _same_array(expected, got, tolerance)
    return bool(expected == got)


def _same_number(expected: numbers.Real, got: numbers.Real, tolerance: float) -> bool:
    """Equal, both not-a-number, or within the relative tolerance; huge whole numbers stay exact."""
    if expected == got:
        return True
    if expected != expected and got != got:  # noqa: PLR0124 - because: only not-a-number differs from itself
        return True
    return tolerance > 0 and math.isclose(expected, got, rel_tol=tolerance, abs_tol=0.0)


def _same_array(expected: Any, got: Any, tolerance: float) -> bool:
    """Arrays compare item by item; shapes first, since arrays of other shapes would be stretched."""
    if getattr(expected, "shape", None) != getattr(got, "shape", None):
        return False
    answer: Any = expected == got
    if bool(answer.all()) if hasattr(answer, "all") else bool(answer):
        return True
    # Not-a-number, tolerances, text and objects: one item at a time, as for lists.
    return _same(expected.tolist(), got.tolist(), tolerance)


def _is_row(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))
