"""Running calls in a worker: one by one, in chunks, and as streams."""

from __future__ import annotations

import contextvars
import pickle
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from _lanewise_worker import wire
from _lanewise_worker.call import FarSideError
from _lanewise_worker.codec import encode
from _lanewise_worker.crossing import COUNT, Crosses
from _lanewise_worker.deadline import DEADLINE
from _lanewise_worker.forked import Forked
from _lanewise_worker.journal import Journal
from _lanewise_worker.shares import SharedObjects


class Listens(Protocol):
    """Somebody who sends frames."""

    def send(self, data: bytes) -> None:
        """Send frames."""


class Prints(Protocol):
    """What calls print to."""

    def settle(self) -> bool:
        """Write out what was printed; return whether the parent is to read it first."""


class Taker(Protocol):
    """Gives the next frame to a call that listens while it runs."""

    def __call__(self, *, wait: bool) -> tuple[int, int, int, int, Any] | None:
        """Return it, or None."""


class Runner:
    """Runs what arrives. Owner: the worker's main thread."""

    def __init__(  # noqa: PLR0913 - because: the worker's parts, each made once
        self,
        line: Listens,
        crossing: Crosses,
        words: memoryview,
        page: memoryview,
        output: Prints,
        take: Taker,
    ) -> None:
        self._line = line
        self._output = output
        self._take = take
        self.crossing = crossing
        self.shares = SharedObjects(crossing)
        self._forked = Forked()
        self._journal = Journal(words, page, self._forked, _packed)
        self._functions: dict[int, bytes | Callable[..., Any]] = {}
        self._contexts: dict[str, contextvars.ContextVar[Any] | None] = {}
        self._credit = 0
        self._modules = len(sys.modules)
        self._known_modules = set(sys.modules)

    def define(self, _flags: int, number: int, _seq: int, body: Any) -> None:
        """Note what a number stands for. Importing it is part of the first call that needs it.

        So that a module that ends the process when it is imported costs a call and not a worker that
        has none.
        """
        self._functions[number] = bytes(body)

    # --- one call -------------------------------------------------------------------------------

    def call(self, flags: int, number: int, seq: int, body: Any) -> None:
        """Run one call and send how it ended."""
        # A frame of its own, so that nothing of the call is referred to any more when settling.
        self._line.send(self._outcome(flags, number, seq, body))
        self._after()

    def _outcome(self, flags: int, number: int, seq: int, body: Any) -> bytes:
        began = 0
        try:
            function, args, kwargs, context = self._opened(flags, number, body)
        except BaseException as error:  # noqa: BLE001 - because: what arguments do when they are made again is theirs
            return self._not_opened(error, seq)
        began = time.perf_counter_ns()
        try:
            if flags & wire.WATCHED:
                result = self._watched(seq, context, function, args, kwargs)
            else:
                result = context.run(function, *args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - because: the caller decides what it is worth
            if self._forked.here:
                self._forked.end(error)
            return self._raised(error, seq, _ticks_since(began))
        if self._forked.here:
            self._forked.end()
        ticks = _ticks_since(began)
        del args, kwargs, context
        printed = wire.PRINTED if self._output.settle() else 0
        if result is None:
            return wire.frame(wire.RESULT, flags=wire.EMPTY | printed, number=ticks, seq=seq)
        try:
            crossing, data = self.crossing.dump(result)
        except BaseException as error:  # noqa: BLE001 - because: __reduce__ may raise anything
            return self._not_sent(error, result, seq, ticks)
        return wire.frame(wire.RESULT, data, flags=crossing | printed, number=ticks, seq=seq)

    def _watched(
        self,
        seq: int,
        context: contextvars.Context,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        from _lanewise_worker.probe import Probe  # noqa: PLC0415 - because: few calls are watched

        probe = Probe()
        result = probe.run(context, function, args, kwargs)
        if not self._forked.here:
            self._line.send(wire.frame(wire.FACTS, probe.facts, seq=seq))
        return result

    def _opened(
        self, flags: int, number: int, body: Any
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], contextvars.Context]:
        context = contextvars.copy_context()
        if flags & wire.EXTRA:
            body = self._extra(context, body)
        if flags & wire.EMPTY:
            return self._function(number), (), {}, context
        value = self.crossing.load(flags, body)
        if number:
            args = value[0] if len(value) == 2 else self.shares.put_back(value[0], value[2])  # noqa: PLR2004 - because: args and kwargs
            return self._function(number), args, value[1], context
        function, variant, args, kwargs = value
        return implementation(function, variant), args, kwargs, context

    def _extra(self, context: contextvars.Context, body: Any) -> Any:
        """Set deadline and context variables; return what follows them."""
        view = memoryview(body)
        (length,) = COUNT.unpack_from(view)
        end = COUNT.size + length
        deadline, values = pickle.loads(view[COUNT.size : end])  # noqa: S301 - because: from the parent
        if deadline is not None:
            context.run(DEADLINE.set, deadline)
        for where, value in values:
            variable = self._variable(where)
            if variable is not None:
                context.run(variable.set, value)
        return view[end:]

    def _variable(self, where: str) -> contextvars.ContextVar[Any] | None:
        if where not in self._contexts:
            from _lanewise_worker.variables import find_variable  # noqa: PLC0415 - because: few calls have any

            self._contexts[where] = find_variable(where)
        return self._contexts[where]

    def _function(self, number: int) -> Callable[..., Any]:
        found = self._functions[number]
        if isinstance(found, bytes):
            function, variant = pickle.loads(found)  # noqa: S301 - because: from the parent
            found = self._functions[number] = implementation(function, variant)
        return found

    # --- how a call ends badly ------------------------------------------------------------------

    def _not_opened(self, error: BaseException, seq: int) -> bytes:
        told = FarSideError("arguments", _in_words(error))
        return self._error(told, seq, 0, wire.HELD)

    def _raised(self, error: BaseException, seq: int, ticks: int) -> bytes:
        if not isinstance(error, Exception) or isinstance(error, StopIteration):
            error = as_an_exception(error)
        return self._error(error, seq, ticks)

    def _not_sent(self, error: BaseException, result: Any, seq: int, ticks: int) -> bytes:
        return self._error(FarSideError("result", explain(error, result, "result")), seq, ticks)

    def _error(self, error: BaseException, seq: int, ticks: int, flags: int = 0) -> bytes:
        from _lanewise_worker.traces import pack_exception  # noqa: PLC0415 - because: only when something failed

        data = pack_exception(error, skip_frames=1)
        printed = wire.PRINTED if self._output.settle() else 0
        return wire.frame(wire.ERROR, data, flags=flags | printed, number=ticks, seq=seq)

    def _after(self) -> None:
        """What the call left: modules that it was the first to need, segments that it let go."""
        self.crossing.settle()
        if len(sys.modules) != self._modules:
            self._report_imports()

    def _report_imports(self) -> None:
        now = set(sys.modules)
        new = now - self._known_modules
        self._known_modules, self._modules = now, len(now)
        # Packages bring their parts along.
        roots = [name for name in new if not any(parent in new for parent in _parents(name))]
        told = sorted(name for name in roots if not name.startswith("_lanewise_worker"))
        if told:
            self._line.send(wire.frame(wire.IMPORTED, "\n".join(told).encode()))

    # --- chunks ---------------------------------------------------------------------------------

    def chunk(self, flags: int, number: int, seq: int, body: Any) -> None:
        """Run one function over many items; send all results at once, or earlier when they are many."""
        self._line.send(self._chunk_outcome(flags, number, seq, body))
        self._after()

    def _chunk_outcome(self, flags: int, number: int, seq: int, body: Any) -> bytes:
        try:
            context = contextvars.copy_context()
            if flags & wire.EXTRA:
                body = self._extra(context, body)
            items = self.crossing.load(flags, body)
            if number:
                function = self._function(number)
            else:
                function, variant, items = items
                function = implementation(function, variant)
        except BaseException as error:  # noqa: BLE001 - because: what arguments do when they are made again is theirs
            return self._not_opened(error, seq)
        began = time.perf_counter_ns()
        results, failed = context.run(self._each, function, items, seq)
        ticks = _ticks_since(began)
        printed = wire.PRINTED if self._output.settle() else 0
        crossing, data = self._dump_results(results, failed)
        return wire.frame(wire.RESULT, data, flags=crossing | printed, number=ticks, seq=seq)

    def _each(
        self, function: Callable[[Any], Any], items: list[Any], seq: int
    ) -> tuple[list[Any], dict[int, bytes]]:
        """Return results and, by their place in that list, packed exceptions.

        What an item gave is noted in the journal before the next one begins, so that a worker that
        dies takes the result of one item with it and not those of the whole chunk.
        """
        journal, source = self._journal, iter(items)
        results: list[Any] = []
        failed: dict[int, bytes] = {}
        while not journal.fill(function, source, results, failed):
            crossing, data = self._dump_results(results, failed)
            part = wire.frame(wire.PART, data, flags=crossing, number=len(results), seq=seq)
            self._line.send(part)
            journal.flushed(len(results))
            results, failed = [], {}
        return results, failed

    def _dump_results(self, results: list[Any], failed: dict[int, bytes]) -> tuple[int, bytes]:
        try:
            return self.crossing.dump((results, failed))
        except BaseException:  # noqa: BLE001 - because: __reduce__ may raise anything; it is looked for below
            for place, result in enumerate(results):
                try:
                    encode(result)
                except BaseException as error:  # noqa: BLE001 - because: as above
                    told = FarSideError("result", explain(error, result, "result"))
                    failed[place] = _packed(told)
                    results[place] = None
            return self.crossing.dump((results, failed))

    # --- streams --------------------------------------------------------------------------------

    def stream(self, flags: int, number: int, seq: int, body: Any) -> None:
        """Run a generator function and send its items, as many as there is credit for."""
        self._line.send(self._stream_outcome(flags, number, seq, body))
        self._after()

    def _stream_outcome(self, flags: int, number: int, seq: int, body: Any) -> bytes:
        try:
            function, args, kwargs, context = self._opened(flags, number, body)
        except BaseException as error:  # noqa: BLE001 - because: what arguments do when they are made again is theirs
            return self._not_opened(error, seq)
        began = time.perf_counter_ns()
        self._credit = wire.STREAM_WINDOW
        try:
            items = iter(context.run(function, *args, **kwargs))
            del args, kwargs
            while self._may_go_on(seq):
                try:
                    item = context.run(next, items)
                except StopIteration:
                    break
                if self._forked.here:
                    self._forked.end()
                try:
                    crossing, data = self.crossing.dump(item)
                except BaseException as error:  # noqa: BLE001 - because: __reduce__ may raise anything
                    _close(context, items)
                    return self._not_sent(error, item, seq, _ticks_since(began))
                printed = wire.PRINTED if self._output.settle() else 0
                self._line.send(wire.frame(wire.ITEM, data, flags=crossing | printed, seq=seq))
                del item
            else:
                _close(context, items)
        except EOFError:
            raise
        except BaseException as error:  # noqa: BLE001 - because: the caller decides what it is worth
            if self._forked.here:
                self._forked.end(error)
            return self._raised(error, seq, _ticks_since(began))
        printed = wire.PRINTED if self._output.settle() else 0
        flags = wire.EMPTY | wire.ENDED | printed
        return wire.frame(wire.RESULT, flags=flags, number=_ticks_since(began), seq=seq)

    def _may_go_on(self, seq: int) -> bool:
        """Take one credit, waiting while there is none; False once the consumer has left."""
        while True:
            frame = self._take(wait=self._credit == 0)
            if frame is None:
                if self._credit:
                    self._credit -= 1
                    return True
                continue
            kind, _, number, about, _ = frame
            if about == seq and kind == wire.CREDIT:
                self._credit += number
            elif about == seq and kind == wire.STOP:
                return False


def _close(context: contextvars.Context, items: Any) -> None:
    close = getattr(items, "close", None)
    if close is not None:
        context.run(close)


def implementation(function: Any, variant: str) -> Callable[..., Any]:
    """A task is known by its method of that name, so nothing of lanewise need be imported for it."""
    find = getattr(function, "implementation", None)
    if find is not None and getattr(type(function), "__module__", "") == "lanewise.model.task":
        found: Callable[..., Any] = find(variant)
        return found
    plain: Callable[..., Any] = function
    return plain


def _ticks_since(began_ns: int) -> int:
    return min((time.perf_counter_ns() - began_ns) // 100, wire.MAX_TICKS)


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _in_words(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}: {error}"


def as_an_exception(error: BaseException) -> RuntimeError:
    """No future can carry StopIteration, and SystemExit or KeyboardInterrupt would end the service."""
    told = RuntimeError(f"the call raised {type(error).__name__}: {error}")
    told.__cause__ = error
    return told.with_traceback(error.__traceback__)


def _packed(error: BaseException) -> bytes:
    from _lanewise_worker.traces import pack_exception  # noqa: PLC0415 - because: only when something failed

    if not isinstance(error, Exception) or isinstance(error, StopIteration):
        error = as_an_exception(error)
    return pack_exception(error, skip_frames=1)


def explain(error: BaseException, value: Any, name: str) -> str:
    """Say which part of a value cannot be pickled, and how to mend it."""
    from _lanewise_worker.culprit import describe_culprit, find_culprit  # noqa: PLC0415 - because: rare

    found = find_culprit(value, name)
    return _in_words(error) if found is None else describe_culprit(found)
