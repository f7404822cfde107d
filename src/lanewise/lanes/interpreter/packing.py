"""From a function and its arguments to what crosses to an interpreter."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from _lanewise_worker import views, wire
from _lanewise_worker.codec import Encoded, encode, encode_arguments
from lanewise.lanes.functions import FunctionBook, note_packed, surroundings
from lanewise.lanes.process.context import CarriedContext
from lanewise.lanes.process.handles import HandleBook, Shared
from lanewise.lanes.streaming import StreamSink
from lanewise.model.lane import CallReport, Terms


@dataclass(slots=True, eq=False)
class Call:
    """One call, from submission to its end. Owner: the lane's loop.

    Attributes:
        future: What its caller awaits.
        key: Under which what is learned of its function is kept.
        name: Of the function, for messages.
        kind: The frame's kind: a call, a chunk, a stream.
        number: The function's number; 0 where the body brings the function along.
        body: The pickled arguments, or what is too large for a frame.
        extra: Deadline and context, or nothing.
        shares: Handles that the arguments hold; the interpreter must have them first.
        definition: The function, pickled, for an interpreter that does not know its number.
        module: Where the function comes from, while nobody knows whether that may be imported there.
        items: How many a chunk has, and ``parts`` the results of its first ones that came early.
        stream: Where a stream's items arrive.
        report: Where to note what is seen of the call.
        began: Whether it was sent. It cannot be taken back then.
        run_time_s: How long it ran, once that is known.
        goes_on: What an abandoned call goes on as.
    """

    future: asyncio.Future[Any]
    key: Any
    name: str
    kind: int
    number: int
    flags: int
    body: bytes | Encoded
    extra: bytes
    shares: tuple[Shared[Any], ...]
    definition: bytes
    module: str | None
    report: CallReport | None
    items: int = 0
    parts: list[Any] | None = None
    stream: StreamSink | None = None
    began: bool = False
    run_time_s: float | None = None
    goes_on: asyncio.Future[None] | None = None


class Packer:
    """Makes calls ready to cross. Owner: the lane's loop.

    Args:
        book: Where handles of shared objects are noted while they are pickled.
        propagate: Context variables whose values go with each call.
        is_known: Whether it is known that a module may be imported in interpreters.

    Raises:
        ValueError: There is no such context variable.
    """

    def __init__(
        self,
        book: HandleBook,
        propagate: Iterable[str | contextvars.ContextVar[Any]],
        is_known: Callable[[str], bool],
    ) -> None:
        self._book = book
        self._carried = CarriedContext(propagate)
        self._carries = bool(self._carried)
        self._is_known = is_known
        self._functions = FunctionBook("interpreter", book.take_noted)

    def call(  # noqa: PLR0913 - because: a call and how it crosses
        self,
        future: asyncio.Future[Any],
        kind: int,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms,
    ) -> Call:
        """Pack a call. A chunk's items stand in the place of its arguments.

        Raises:
            NotPortableError: The function or an argument cannot cross.
            KeyError: There is no such variant.
        """
        report = terms.report
        began = 0.0 if report is None else time.perf_counter()
        key, (number, definition, name, module) = self._functions.find(function, variant)
        body = self._body(number, kind, function, variant, args, kwargs)
        flags = wire.EMPTY if body is None else 0
        extra = b""
        if terms.deadline is not None or self._carries:
            flags |= wire.EXTRA
            extra = surroundings(terms.deadline, self._carried.values())
        packed = b"" if body is None else body
        if report is not None:
            flags |= wire.WATCHED
            note_packed(report, packed, time.perf_counter() - began)
        made = Call(
            future,
            key,
            name,
            kind,
            number,
            flags,
            packed,
            extra,
            self._book.take_noted(),
            definition,
            None if self._is_known(module) else module,
            report,
        )
        if kind == wire.CHUNK:
            made.items = len(args)
        return made

    def forget(self) -> None:
        """Every interpreter that knew a number is gone."""
        self._functions.forget()

    def _body(  # noqa: PLR0913 - because: a call and how it crosses
        self,
        number: int,
        kind: int,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> bytes | Encoded | None:
        """Pickle what is called and with what; None where there is nothing to pickle."""
        if number and kind != wire.CHUNK and not args and not kwargs:
            return None
        try:
            args = views.wrapped(args)
            if kwargs:
                kwargs = dict(zip(kwargs, views.wrapped(tuple(kwargs.values())), strict=True))
            if kind == wire.CHUNK:
                items = list(args)
                return encode(items if number else (function, variant, items))
            if not number:
                return encode((function, variant, args, kwargs))
            return encode_arguments(args, kwargs)
        except Exception as error:
            raise self._functions.unportable(error, function, args, kwargs) from error
