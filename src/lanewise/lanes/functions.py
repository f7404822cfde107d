"""Functions and calls on their way out of this memory: numbers for them, and words for what cannot go.

Shared by the lanes to which calls must be sent.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from _lanewise_worker.codec import Encoded
from _lanewise_worker.crossing import COUNT
from _lanewise_worker.running import explain
from lanewise.errors import NotPortableError
from lanewise.lanes.resolve import identity_of, plain_function
from lanewise.model.lane import CallReport

# Functions that are sent once and then called by number.
_MAX_FUNCTIONS = 4_096
_INSTEAD = "Or pin the task with @task(lane='thread')"


class Known(NamedTuple):
    """A function and variant as the far side gets to know it.

    Attributes:
        number: What calls name it by; 0 where it goes with each call.
        definition: Its pickle, for a far side that does not know the number.
        name: What messages call it.
        module: Which module it comes from; empty where none is known.
    """

    number: int
    definition: bytes
    name: str
    module: str


class FunctionBook:
    """What one lane knows of functions. Owner: the lane's loop.

    Args:
        place: Where calls cannot cross to, for messages: ``process``.
        let_go: Called when something could not be pickled, to drop what was noted on the way.
    """

    def __init__(self, place: str, let_go: Callable[[], object]) -> None:
        self._place = place
        self._let_go = let_go
        self._functions: dict[Any, Known] = {}

    def find(self, function: Callable[..., Any], variant: str) -> tuple[Any, Known]:
        """Return the key under which what is learned of a function is kept, and what is known of it.

        Raises:
            KeyError: There is no such variant.
            NotPortableError: It is found by its name, and does not pickle.
        """
        key: Any = (function, variant)
        try:
            known = self._functions.get(key)
        except TypeError:  # cannot be hashed
            known = None
        if known is not None:
            return key, known
        plain = plain_function(function, variant)  # an unknown variant is told here
        key = (identity_of(function), variant)
        return key, self._defined(function, variant, key, plain)

    def forget(self) -> None:
        """Whoever knew a number is gone."""
        self._functions.clear()

    def pickled(self, value: Any, name: str) -> bytes:
        """Pickle something that is led by a function.

        Raises:
            NotPortableError: It does not pickle.
        """
        try:
            return pickle.dumps(value, 5)
        except Exception as error:
            raise NotPortableError(
                f"{name} cannot cross to another {self._place}: "
                f"{explain(error, value[0], 'the function')}. {_INSTEAD}"
            ) from error

    def unportable(
        self,
        error: Exception,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
    ) -> NotPortableError:
        """Say which part of a call cannot cross."""
        self._let_go()
        where = explain_call(error, function, args, kwargs)
        self._let_go()
        return NotPortableError(
            f"a call of {name_of(function)} cannot cross to another {self._place}: {where}. {_INSTEAD}"
        )

    def _defined(
        self, function: Callable[..., Any], variant: str, key: tuple[Any, ...], plain: Any
    ) -> Known:
        """Give a function a number, if it pickles by its name alone."""
        name, module = name_of(function), module_of(plain)
        if key[0] is not function or len(self._functions) >= _MAX_FUNCTIONS:
            return Known(0, b"", name, module)
        definition = self.pickled((function, variant), name)
        known = self._functions[key] = Known(len(self._functions) + 1, definition, name, module)
        return known


def explain_call(
    error: BaseException, function: Any, args: Sequence[Any], kwargs: dict[str, Any]
) -> str:
    """Say which part of a call cannot be pickled."""
    from _lanewise_worker.culprit import describe_culprit, find_culprit  # noqa: PLC0415 - because: rare

    parts = [("the function", function), *((f"args[{n}]", one) for n, one in enumerate(args))]
    parts += [(f"kwargs[{name!r}]", one) for name, one in kwargs.items()]
    for name, part in parts:
        found = find_culprit(part, name)
        if found is not None:
            return describe_culprit(found)
    return f"{type(error).__name__}: {error}"


def surroundings(deadline: float | None, values: tuple[tuple[str, Any], ...]) -> bytes:
    """Pack what goes with a call beside its arguments: its deadline, and context variables."""
    data = pickle.dumps((deadline, values), 5)
    return COUNT.pack(len(data)) + data


def note_packed(report: CallReport, body: bytes | Encoded, packed_s: float) -> None:
    """Note what went out, and how long it took to pack it."""
    report.near_s = packed_s
    report.args_bytes = (
        len(body) if isinstance(body, bytes) else body.stream_bytes + body.buffer_bytes
    )


def name_of(function: Any) -> str:
    """What messages call a function."""
    for attribute in ("name", "__qualname__"):
        found = getattr(function, attribute, None)
        if isinstance(found, str):
            return found
    return repr(function)


def module_of(function: Any) -> str:
    """Return the module that must be imported for a function; nothing where none is known."""
    while hasattr(function, "func"):  # partial objects
        function = function.func
    bound = getattr(function, "__self__", None)
    if bound is not None and not isinstance(bound, type(pickle)):
        function = bound if isinstance(bound, type) else type(bound)
    elif not hasattr(function, "__qualname__"):
        function = type(function)
    found = getattr(function, "__module__", None)
    return found if isinstance(found, str) else ""
