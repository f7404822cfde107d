"""Send requests when they are due, whatever became of those before: an open loop.

A client that waits for an answer before it asks again slows down with the server and so hides what
its users would have seen (coordinated omission). Here latency counts from the moment at which a
request was to be sent; what is late because of the generator itself is counted too, and makes a
run void.
"""

import asyncio
import gc
import selectors
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from supplyr_load.arrivals import Arrival
from supplyr_load.tally import Outcome, Tally, histogram
from supplyr_load.wire import Answer, Connection

# select() takes microseconds where epoll in asyncio rounds up to whole milliseconds, which would
# be most of a cheap request's latency. It knows 1,024 descriptors.
MAX_CONNECTIONS = 900
_SHED = frozenset({429, 503})


class Lag(NamedTuple):
    """How much later than intended requests were really written, in seconds."""

    p50_s: float
    p99_s: float
    max_s: float


class Generated(NamedTuple):
    """What one generator saw.

    Attributes:
        tallies: By (number of the phase, kind).
        lag: The generator's own.
        resent: Requests that were written again because the server closed a kept connection
            at the moment of writing, which HTTP allows it to.
        ends_s: For each shed or lost request, when it was to be sent, from the beginning.
        cpu_s: What the generator itself took of the machine.
    """

    tallies: dict[tuple[int, str], Tally]
    lag: Lag
    resent: int
    bad_at_s: list[tuple[float, str, Outcome]]
    cpu_s: float


class _Pending:
    """A request whose answer is awaited. owner: the generator's loop."""

    __slots__ = ("arrival", "connection", "due", "over", "resent", "timer")

    def __init__(self, arrival: Arrival, due: float) -> None:
        self.arrival = arrival
        self.due = due
        self.connection: Connection | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.resent = False
        self.over = False


class OpenLoop:
    """Sends a schedule to one address. owner: its event loop, for one run."""

    def __init__(self, arrivals: Sequence[Arrival], host: str, port: int) -> None:
        self._arrivals = arrivals
        self._host = host
        self._port = port
        self._next = 0
        self._begun = 0.0
        self._idle: deque[Connection] = deque()
        self._open = 0
        self._waiting = len(arrivals)
        self._tallies: dict[tuple[int, str], Tally] = {}
        self._lag = histogram()
        self._resent = 0
        self._bad: list[tuple[float, str, Outcome]] = []
        self._connecting: set[asyncio.Task[None]] = set()

    async def run(self, start_at: float | None = None) -> Generated:
        """Send everything and await every answer; `start_at` is of time.monotonic."""
        self._loop = asyncio.get_running_loop()
        self._done = self._loop.create_future()
        self._begun = time.monotonic() if start_at is None else start_at
        cpu = time.process_time()
        # Nothing here makes cycles in the measured part; a collection would be lag of our own.
        gc.collect()
        gc.disable()
        try:
            if self._arrivals:
                self._loop.call_at(self._begun + self._arrivals[0].due_s, self._send_due)
                await self._done
        finally:
            gc.enable()
            for connection in self._idle:
                connection.close()
        lag = self._lag
        return Generated(
            self._tallies,
            Lag(*(lag.get_value_at_percentile(at) / 1e6 for at in (50, 99, 100))),
            self._resent,
            self._bad,
            time.process_time() - cpu,
        )

    def _send_due(self) -> None:
        arrivals = self._arrivals
        while self._next < len(arrivals):
            arrival = arrivals[self._next]
            due = self._begun + arrival.due_s
            now = time.monotonic()
            if due > now:
                self._loop.call_at(due, self._send_due)
                return
            self._next += 1
            self._lag.record_value(max(1, round((now - due) * 1e6)))
            self._send(_Pending(arrival, due))

    def _send(self, pending: _Pending) -> None:
        if pending.timer is None:
            leave_at = pending.due + pending.arrival.timeout_s
            pending.timer = self._loop.call_at(leave_at, self._give_up, pending)
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                self._write(pending, connection)
                return
            self._open -= 1
        if self._open >= MAX_CONNECTIONS:
            self._end(pending, "failed")
            return
        self._open += 1
        task = self._loop.create_task(self._connect(pending))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, pending: _Pending) -> None:
        try:
            _, connection = await self._loop.create_connection(Connection, self._host, self._port)
        except OSError:
            self._open -= 1
            self._end(pending, "failed")
            return
        if pending.over:  # nobody waits any more
            self._idle.append(connection)
            return
        self._write(pending, connection)

    def _write(self, pending: _Pending, connection: Connection) -> None:
        pending.connection = connection
        connection.on_answer = partial(self._answered, pending)
        connection.on_lost = partial(self._lost, pending)
        connection.ask(pending.arrival.request.data)

    def _answered(self, pending: _Pending, answer: Answer) -> None:
        connection = pending.connection
        assert connection is not None
        if answer.keep:
            self._idle.append(connection)
        else:
            self._open -= 1
        if answer.status in _SHED:
            self._end(pending, "shed")
        else:
            self._end(pending, "ok" if answer.status < 400 else "failed")

    def _lost(self, pending: _Pending, anything_came: bool) -> None:
        connection, pending.connection = pending.connection, None
        self._open -= 1
        if connection is not None and connection.used and not anything_came and not pending.resent:
            pending.resent = True
            self._resent += 1
            self._send(pending)
            return
        self._end(pending, "failed")

    def _give_up(self, pending: _Pending) -> None:
        if pending.connection is not None:
            pending.connection.close()
            self._open -= 1
        self._end(pending, "left" if pending.arrival.leaves else "timeout")

    def _end(self, pending: _Pending, outcome: Outcome) -> None:
        if pending.over:
            return
        pending.over = True
        if pending.timer is not None:
            pending.timer.cancel()
        arrival = pending.arrival
        key = (arrival.phase, arrival.request.kind)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = Tally()
        tally.add(outcome, time.monotonic() - pending.due, arrival.timeout_s)
        if outcome not in ("ok", "left"):
            self._bad.append((arrival.due_s, arrival.request.kind, outcome))
        self._waiting -= 1
        if self._waiting == 0 and not self._done.done():
            self._done.set_result(None)


def precise_loop() -> asyncio.SelectorEventLoop:
    """Return an event loop whose timers are not rounded to milliseconds."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def in_precise_loop(main: Callable[[], Any]) -> Any:
    """Run a coroutine function in such a loop."""
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        return runner.run(main())


def generate(
    arrivals: Sequence[Arrival], host: str, port: int, start_at: float | None = None
) -> Generated:
    """Send a schedule from this thread and return what became of it."""

    async def main() -> Generated:
        return await OpenLoop(arrivals, host, port).run(start_at)

    result: Generated = in_precise_loop(main)
    return result
