"""Calls on their way to a node."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import pickle
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from _lanewise_worker import far
from _lanewise_worker.codec import Encoded, encode, encode_arguments
from _lanewise_worker.crossing import pack_inline
from lanewise.lanes.cluster import protocol
from lanewise.lanes.cluster.placement import Call
from lanewise.lanes.cluster.protocol import CallHead, Definition
from lanewise.lanes.functions import FunctionBook, Known, note_packed
from lanewise.lanes.process.context import CarriedContext
from lanewise.lanes.process.handles import HandleBook, Shared
from lanewise.lanes.streaming import StreamSink
from lanewise.model.lane import CallReport, Terms
from lanewise.model.task import NO_RESOURCES, Task


@dataclass(slots=True, eq=False)
class Outgoing:
    """What the lane knows of a call beside what its placement needs. Owner: the lane's loop.

    Attributes:
        seq: Its number in frames.
        kind: The frame's.
        name: Of the function, for messages.
        parts: The arguments, packed.
        definition: What a node must know that does not know the function's number.
        shares: Handles that the arguments hold; the node must have them first.
        deadline: A moment of ``time.monotonic()``, or None.
        stream: Where a stream's items arrive.
        run_s: What a chunk's items took, once that is known.
    """

    future: asyncio.Future[Any]
    seq: int
    kind: int
    name: str
    head: CallHead
    parts: list[Any]
    definition: Definition | None
    shares: tuple[Shared[Any], ...]
    deadline: float | None
    report: CallReport | None
    stream: StreamSink | None = None
    run_s: float | None = None

    def frame_parts(self) -> list[Any]:
        """Return the frame's body as it is now: a call that has waited has less time left."""
        head = self.head
        if self.deadline is not None:
            head = head._replace(left_s=self.deadline - time.monotonic())
        return [*protocol.headed(head), *self.parts]


class Packer:
    """Makes calls ready to cross. Owner: the lane's loop.

    Args:
        book: Where handles of shared objects are noted while they are pickled.
        propagate: Context variables whose values go with each call.

    Raises:
        ValueError: There is no such context variable.
    """

    def __init__(
        self, book: HandleBook, propagate: Iterable[str | contextvars.ContextVar[Any]]
    ) -> None:
        self._book = book
        self._carried = CarriedContext(propagate)
        self._functions = FunctionBook("process", book.take_noted)
        self._definitions: dict[int, Definition] = {}
        self._numbers = itertools.count(1)

    def call(  # noqa: PLR0913 - because: a call and how it crosses
        self,
        kind: int,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms,
    ) -> Call:
        """Pack a call; of a chunk the items stand in the place of the arguments.

        Raises:
            NotPortableError: The function or an argument cannot cross.
            KeyError: There is no such variant.
        """
        report = terms.report
        began = 0.0 if report is None else time.perf_counter()
        key, known = self._functions.find(function, variant)
        body: bytes | Encoded
        if kind == protocol.CHUNK:
            body = self._chunk(known, function, variant, args)
        else:
            body = self._arguments(known, function, variant, args, kwargs)
        if report is not None:
            note_packed(report, body, time.perf_counter() - began)
        shares = self._book.take_noted()
        out = Outgoing(
            asyncio.get_running_loop().create_future(),
            next(self._numbers),
            kind,
            known.name,
            self._head(known, body, terms, shares),
            [body] if isinstance(body, bytes) else pack_inline(body),
            self._definition(known),
            shares,
            terms.deadline,
            report,
        )
        asked = function.resources if isinstance(function, Task) else NO_RESOURCES
        # A chunk's or a stream's run time says nothing of a call's; what a stream has yielded cannot be
        # taken back.
        return Call(
            key if kind == protocol.CALL else (*key, kind),
            out,
            asked.cpus,
            asked.memory_bytes,
            terms.idempotent and kind != protocol.STREAM,
        )

    def initializer(self, function: Callable[..., object] | None, args: tuple[Any, ...]) -> bytes:
        """Pack what every worker is to call first; nothing where there is none.

        Raises:
            NotPortableError: It does not pickle.
        """
        if function is None:
            return b""
        return self._functions.pickled((function, args), "the initializer")

    def forget(self) -> None:
        """No node knows any number any more."""
        self._functions.forget()
        self._definitions.clear()

    def _head(
        self, known: Known, body: bytes | Encoded, terms: Terms, shares: tuple[Shared[Any], ...]
    ) -> CallHead:
        report = terms.report
        return CallHead(
            known.number,
            known.name,
            known.module,
            far.PLAIN if isinstance(body, bytes) else far.BUFFERS,
            None,
            terms.on_cancel == "abandon",
            terms.idempotent,
            0 if report is None else 2 if report.watch else 1,
            tuple(handle.number for handle in shares),
            self._carried.values() if self._carried else (),
        )

    def _definition(self, known: Known) -> Definition | None:
        if not known.number:
            return None
        found = self._definitions.get(known.number)
        if found is None:
            digest = far.source_digest(known.module)
            found = Definition(known.definition, known.name, known.module, digest)
            self._definitions[known.number] = found
        return found

    def _arguments(
        self,
        known: Known,
        function: Callable[..., Any],
        variant: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> bytes | Encoded:
        try:
            if known.number:
                return encode_arguments(args, kwargs)
            return encode((function, variant, args, kwargs))
        except Exception as error:
            raise self._functions.unportable(error, function, args, kwargs) from error

    def _chunk(
        self, known: Known, function: Callable[..., Any], variant: str, items: Sequence[Any]
    ) -> bytes:
        """Pack each item by itself: the node hands them to a worker, and does not make them."""
        definition = b""
        if not known.number:
            definition = self._functions.pickled((function, variant), known.name)
        try:
            packed = [pickle.dumps(item, 5) for item in items]
        except Exception as error:
            raise self._functions.unportable(error, function, items, {}) from error
        return pickle.dumps((definition, packed), 5)
