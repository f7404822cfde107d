"""Carries out what the pool's bookkeeping says: the workers of one lane, and their timers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any

from _lanewise_worker import wire
from _lanewise_worker.journal import read_journal
from _lanewise_worker.probe import FACTS
from _lanewise_worker.traces import unpack_exception
from lanewise.errors import LaneUnavailableError, WorkerDiedError
from lanewise.lanes.process.births import Born
from lanewise.lanes.process.counts import CrewCounts, WorkerStatistics
from lanewise.lanes.process.deaths import Death, Quarantine, oom_kills
from lanewise.lanes.process.launcher import Launcher
from lanewise.lanes.process.link import Link
from lanewise.lanes.process.outgoing import ChunkLost, Outgoing
from lanewise.lanes.process.pool import Call, Kill, Lost, Pool, Recall, Retire, Send, Start
from lanewise.lanes.process.results import (
    journaled,
    load_chunk,
    load_noted,
    not_loaded,
    not_portable,
    note_run,
)
from lanewise.lanes.process.sending import Sending
from lanewise.lanes.process.upkeep import CrewOptions, Upkeep
from lanewise.model.lane import Failed

_log = logging.getLogger("lanewise")

# A call that has kept others waiting in its worker's inbox for one to two of these is overtaken.
_TICK_S = 0.005
# Between the store that recalls and the look at what has begun: by then each side sees what the other
# stored (processors delay stores by less than a microsecond).
_LOOK_S = 0.002
_LEAVE_S = 1.0
_MAX_START_FAILURES = 5
# How much of a failure it is when a worker ends by a signal before it is ready, once nothing else has
# happened for so long. Before that it is none: on a machine that is short of cores a start takes seconds,
# and whoever kills workers at random meets hardly any that is ready.
_KILLED_YOUNG = 0.05
_KILLED_FOR_S = 30.0
_FIRST_RETRY_S = 0.05
_LAST_RETRY_S = 5.0


class Crew:
    """The workers of one opened lane. Owner: the loop that opened it; nothing here is for threads."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        max_workers: int,
        launcher: Launcher,
        options: CrewOptions,
    ) -> None:
        self.pool = Pool(
            max_workers, max_calls=options.max_calls, max_starting=options.max_starting
        )
        self.quarantine = Quarantine()
        self.counts = CrewCounts()
        self.loop = loop
        self._launcher = launcher
        self._options = options
        self._links: dict[int, Link] = {}
        self._starting: set[asyncio.Task[None]] = set()
        self._upkeep = Upkeep(loop, self.pool, options, self._do)
        self._flushing = False
        self._read_at_s = loop.time()
        self._tick_timer: asyncio.TimerHandle | None = None
        self._sending = Sending(loop)
        self._imported: set[str] = set()
        self._failures = 0.0
        self._killed_since_s: float | None = None
        self._failed_for = ""
        self._oom_kills = oom_kills()
        self._changed: asyncio.Event = asyncio.Event()
        self._draining = False
        self._ended = False
        self._frame_handlers: dict[int, Callable[[Link, int, int, int, Any], None]] = {
            wire.RESULT: self._result,
            wire.ERROR: self._error,
            wire.PART: self._part,
            wire.ITEM: self._item,
            wire.SKIPPED: self._skipped,
            wire.READY: self._ready,
            wire.LOG: self._logged,
            wire.WARNING: self._warned,
            wire.IMPORTED: self._has_imported,
            wire.FREED: self._freed,
            wire.FORGET: self._forget,
            wire.FACTS: self._facts,
        }

    def now_s(self) -> float:
        """The loop's time."""
        return self.loop.time()

    def statistics(self) -> WorkerStatistics:
        """Return a snapshot."""
        counts = self.counts
        return WorkerStatistics(
            busy=len(self.pool.busy),
            idle=len(self.pool.idle),
            queued=self.pool.waiting,
            started=counts.started,
            died=counts.died,
            killed=counts.killed,
            retired=counts.retired,
            start_failures=counts.start_failures,
        )

    # --- calls ----------------------------------------------------------------------------------

    def submit(self, call: Call) -> None:
        """Take a call."""
        if self._ended:
            self._refuse(call)
            return
        instructions = self.pool.submit(call)
        if instructions:
            self._do(instructions)
        if call.state == "queued" and not self._flushing:
            self._flush_soon()

    def cancel(self, call: Call) -> None:
        """Nobody waits for it: remove it, or kill its worker."""
        self._do(self.pool.cancel(call))
        self._flush_soon()

    def grant(self, call: Call, items: int) -> None:
        """Let a stream send so many more items."""
        if call.worker is not None and call.state == "sent":
            link: Link = call.worker.handle
            link.settle()  # a stream may be long, and nothing else is sent meanwhile
            link.send(wire.frame(wire.CREDIT, number=items, seq=call.seq))

    def stop_stream(self, call: Call) -> None:
        """Ask a stream to close its generator and end."""
        if call.worker is not None and call.state == "sent":
            link: Link = call.worker.handle
            link.send(wire.frame(wire.STOP, seq=call.seq))

    def drop_share(self, number: int) -> None:
        """A shared object is not needed any more."""
        for link in self._links.values():
            if number in link.shares:
                link.shares.discard(number)
                link.send(wire.frame(wire.DROP, number=number))

    def _flush_soon(self) -> None:
        # Once in a turn of the loop: calls that come in the same turn travel in one write.
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self._do(self.pool.dispatch())
        self._do(self.pool.staff())

    # --- instructions ---------------------------------------------------------------------------

    def _do(self, instructions: Iterable[Any]) -> None:
        for one in instructions:
            if type(one) is Send:
                link = one.worker.handle
                self._sending.send(link, one.calls)
                if len(one.worker.inbox) > 1:
                    self._tick_soon()
                self._upkeep.busy()
            elif type(one) is Start:
                for _ in range(one.workers):
                    self._start_one()
            elif type(one) is Kill:
                self._kill(one.worker.handle)
            elif type(one) is Recall:
                link = one.worker.handle
                link.recall(one.seq)
                self.loop.call_later(_LOOK_S, self._look, link)
            elif type(one) is Retire:
                self.counts.retired += 1
                self._retire(one.worker.handle)
            elif type(one) is Lost:
                self._lost(one.call, one.worker.handle)

    def _kill(self, link: Link) -> None:
        self.counts.killed += 1
        self._launcher.kill(link.pid)
        if link.worker.inbox:
            self._import_before(link.worker.inbox[0].payload)

    def _import_before(self, out: Outgoing) -> None:
        """Have workers to come find loaded what a stopped call was for.

        It never told what it imported. That may have been all that it had the time for, and each new
        worker would begin with it again, and be stopped as well.
        """
        if out.module and out.module != "__main__" and out.module not in self._imported:
            self._imported.add(out.module)
            self._launcher.learn([out.module])

    def _retire(self, link: Link) -> None:
        link.send(wire.frame(wire.EXIT))
        # A worker that does not leave when it is told to is made to.
        self.loop.call_later(_LEAVE_S, self._make_leave, link)

    def _make_leave(self, link: Link) -> None:
        if link.pid in self._links and not link.ended:
            self._launcher.kill(link.pid)

    # --- what workers say -----------------------------------------------------------------------

    def _on_frames(self, link: Link, frames: list[tuple[int, int, int, int, Any]]) -> None:
        handlers = self._frame_handlers
        self._read_at_s = self.loop.time()
        try:
            for kind, flags, number, seq, body in frames:
                handlers[kind](link, flags, number, seq, body)
        except Exception:  # noqa: BLE001 - because: the lane must outlive whatever one worker says
            # What this worker says makes no sense, so nothing that it says can be relied upon.
            _log.exception("worker %s broke the protocol and is killed", link.pid)
            link.killed_for = (
                "it broke the protocol, which is a defect of lanewise; the log has the details"
            )
            self._do(self.pool.doom(link.worker))
        if self.pool.is_urgent(link.worker):
            self._do(self.pool.dispatch())
        elif self.pool.waiting or self.pool.has_due:
            self._flush_soon()
        if self._draining:
            self._changed.set()

    def _result(  # noqa: C901 - because: one path for each kind of result, and every call takes it
        self, link: Link, flags: int, ticks: int, seq: int, body: Any
    ) -> None:
        call = self.pool.finished(link.worker, seq, ticks / wire.TICKS_PER_S, self._read_at_s)
        if self.quarantine.suspects:
            self.quarantine.ended(call.function)
        if flags & wire.PRINTED:
            link.read_output()
        out: Outgoing = call.payload
        future = out.future
        if future.done():
            if flags & wire.SEGMENT:
                link.load(flags, body)  # so that the worker can use its memory again
            return
        if flags & wire.EMPTY:
            if out.report is not None:
                note_run(out.report, ticks)
                out.report.result_bytes = 0
            future.set_result(None)
            return
        try:
            if out.report is not None:
                future.set_result(load_noted(link, out.report, flags, ticks, body))
            elif out.kind == wire.CHUNK:
                parts = out.parts or []
                count = out.items - len(parts)
                future.set_result([*parts, *load_chunk(link, out.name, flags, body, count)])
            else:
                future.set_result(link.load(flags, body))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - because: what a result does when it is made again is the user's
            future.set_exception(not_loaded(out.name, error))

    def _error(self, link: Link, flags: int, ticks: int, seq: int, body: Any) -> None:
        if seq == 0:  # the initializer failed; this worker will end
            self._initializer_failed(link, unpack_exception(bytes(body)))
            return
        run_time_s = None if flags & wire.HELD else ticks / wire.TICKS_PER_S
        call = self.pool.finished(link.worker, seq, run_time_s, self.loop.time())
        if self.quarantine.suspects:
            self.quarantine.ended(call.function)
        if flags & wire.PRINTED:
            link.read_output()
        out: Outgoing = call.payload
        if out.report is not None:
            out.report.run_s = run_time_s
        if not out.future.done():
            out.future.set_exception(not_portable(out.name, unpack_exception(bytes(body))))

    def _part(self, link: Link, flags: int, count: int, seq: int, body: Any) -> None:
        head = link.worker.inbox[0]
        if head.seq == seq:
            out: Outgoing = head.payload
            out.parts = [*(out.parts or []), *load_chunk(link, out.name, flags, body, count)]
            link.settle()

    def _item(self, link: Link, flags: int, _number: int, seq: int, body: Any) -> None:
        head = link.worker.inbox[0]
        if flags & wire.PRINTED:
            link.read_output()
        sink = head.payload.stream
        if head.seq != seq or sink is None:
            return
        try:
            sink.put(link.load(flags, body))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - because: what an item does when it is made again is the user's
            sink.put(Failed(not_loaded(head.payload.name, error)))

    def _skipped(self, link: Link, _flags: int, _number: int, seq: int, _body: Any) -> None:
        self._do(self.pool.skipped(link.worker, seq, self.loop.time()))

    def _ready(self, link: Link, _flags: int, _number: int, _seq: int, _body: Any) -> None:
        self._failures = 0
        self._killed_since_s = None
        self.counts.started += 1
        link.is_ready = True
        if not link.ready.done():
            link.ready.set_result(None)
        self._do(self.pool.ready(link.worker, self.loop.time()))
        self._changed.set()

    def _logged(self, _link: Link, _flags: int, _number: int, _seq: int, body: Any) -> None:
        self._options.relay.log(bytes(body))

    def _warned(self, _link: Link, _flags: int, _number: int, _seq: int, body: Any) -> None:
        self._options.relay.warning(bytes(body))

    def _has_imported(self, _link: Link, _flags: int, _number: int, _seq: int, body: Any) -> None:
        """Workers to come find loaded what calls were seen to need."""
        new = set(bytes(body).decode().split("\n")) - self._imported
        if new:
            self._imported |= new
            self._launcher.learn(sorted(new))

    def _freed(self, link: Link, _flags: int, number: int, _seq: int, _body: Any) -> None:
        link.freed(number)

    def _facts(self, link: Link, _flags: int, _number: int, seq: int, body: Any) -> None:
        head = link.worker.inbox[0]
        report = head.payload.report
        if head.seq == seq and report is not None:
            facts = FACTS.unpack(body)
            report.run_s, report.cpu_s, report.run_queue_s, share, report.samples = facts
            report.held_share = share if report.samples else None

    def _forget(self, link: Link, _flags: int, number: int, _seq: int, _body: Any) -> None:
        link.forget(number)

    # --- starting -------------------------------------------------------------------------------

    def _start_one(self) -> None:
        task = self.loop.create_task(self._start())
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start(self) -> None:
        if self._failures:
            await asyncio.sleep(min(_FIRST_RETRY_S * 2**self._failures, _LAST_RETRY_S))
        try:
            born = await self._launcher.start_worker()
        except Exception as error:  # noqa: BLE001 - because: whatever it is, somebody may wait for the worker
            self._start_failed(str(error) or type(error).__name__)
            return
        except BaseException:
            self.pool.start_failed()
            raise
        self._adopt(born)

    def _adopt(self, born: Born) -> None:
        link = Link(self.loop, born, self._on_frames, self._on_end)
        link.worker.alone = link.words is None
        self._links[born.pid] = link

    def _initializer_failed(self, link: Link, error: BaseException) -> None:
        self._failed_for = f"the initializer raised {type(error).__name__}: {error}"
        self._failures = _MAX_START_FAILURES
        link.killed_for = self._failed_for

    def _start_failed(self, why: str, weight: float = 1.0) -> None:
        self.pool.start_failed()
        self.counts.start_failures += 1
        self._failures += weight
        self._failed_for = why
        self._changed.set()
        if self._failures >= _MAX_START_FAILURES and not self.pool.busy and not self.pool.idle:
            # Those that are being started would fail as well, and each would wait for another one.
            for call in self.pool.drop_waiting():
                out: Outgoing = call.payload
                if not out.future.done():
                    out.future.set_exception(self.unavailable())
        elif self.pool.waiting:
            self._do(self.pool.dispatch())
            self._do(self.pool.staff())

    def unavailable(self) -> LaneUnavailableError:
        """Say why there are no workers."""
        return LaneUnavailableError(
            f"worker processes cannot be started here: {self._failed_for}. Usual causes: a limit on "
            "processes or memory, an initializer or a main module that fails in workers"
        )

    async def open(self) -> None:
        """Start all workers and wait until the first ones answer.

        Raises:
            LaneUnavailableError: None could be started.
        """
        self._do(self.pool.open())
        self._upkeep.start()
        while len(self.pool.idle) < self.pool.max_workers:
            self._changed.clear()
            await self._changed.wait()
            if self._failures >= _MAX_START_FAILURES:
                raise self.unavailable()
            self._do(self.pool.open())  # in the place of those that could not be started

    # --- ends -----------------------------------------------------------------------------------

    def on_death(self, pid: int, status: int | None) -> None:
        """The launcher saw a worker's end; its pid stays reserved until it is released."""
        link = self._links.get(pid)
        if link is None:
            self._launcher.release(pid)
            return
        link.status = status
        link.drain()  # what it had sent is as good as ever
        self._conclude(link)
        self._launcher.release(pid)

    def on_lost(self, reason: str, pids: list[int]) -> None:
        """The launcher itself died: its workers end with their calls, for nobody can reap them."""
        _log.warning("the process that starts workers died (%s); another one is started", reason)
        for pid in pids:
            link = self._links.get(pid)
            if link is not None:
                link.orphan = True
                if link.ended:
                    self._conclude(link)
                else:
                    self._do(self.pool.wear(link.worker))
        self._do(self.pool.staff())

    def _on_end(self, link: Link) -> None:
        if link.orphan:
            self._conclude(link)

    def _conclude(self, link: Link) -> None:
        """A worker is gone and all that it said was read."""
        if self._links.pop(link.pid, None) is None:
            return
        if not link.is_ready:
            why = link.killed_for or f"a worker ended with status {link.status} before it was ready"
            # What somebody else has killed says little of whether workers can be started.
            was_killed = not link.killed_for and (link.status is None or link.status < 0)
            weight = self._weight_of_a_kill() if was_killed else 1.0
            self._start_failed(f"{why}\n{link.output.tail()}".rstrip(), weight)
        else:
            if link.worker.state != "leaving":
                self.counts.died += 1
            link.read_output()
            self._do(self.pool.died(link.worker, link.begun_seq))
            if self._ended:
                self._refuse_waiting()
        link.close()
        self._changed.set()

    def _weight_of_a_kill(self) -> float:
        now_s = self.loop.time()
        if self._killed_since_s is None:
            self._killed_since_s = now_s
        return _KILLED_YOUNG if now_s - self._killed_since_s >= _KILLED_FOR_S else 0.0

    def _lost(self, call: Call, link: Link) -> None:
        """A call ended with its worker."""
        out: Outgoing = call.payload
        death = self._death_of(link)
        self.quarantine.died(call.function, death, self.loop.time())
        if out.future.done():
            return
        error = death.error(out.name)
        if out.kind == wire.CHUNK:
            out.future.set_result(self._chunk_lost(link, out, error))
        else:
            out.future.set_exception(error)

    def _chunk_lost(self, link: Link, out: Outgoing, error: WorkerDiedError) -> ChunkLost:
        results = list(out.parts or [])
        is_exact = link.words is not None and link.page is not None
        if link.words is not None and link.page is not None:
            first, entries = read_journal(link.words, link.page)
            # What was sent early may stand in the journal still.
            new = entries[max(len(results) - first, 0) :]
            results += [journaled(out.name, entry) for entry in new]
        return ChunkLost(results, Failed(error), is_exact)

    def _death_of(self, link: Link) -> Death:
        kills, before = oom_kills(), self._oom_kills
        self._oom_kills = kills
        return Death(
            link.pid,
            link.status,
            fault=link.output.fault(),
            stderr=link.output.tail(),
            killed_for=link.killed_for,
            resident_bytes=link.resident_bytes,
            out_of_memory=kills > before,
        )

    # --- timers ---------------------------------------------------------------------------------

    def _tick_soon(self) -> None:
        if self._tick_timer is None:
            self._tick_timer = self.loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        self._tick_timer = None
        self._do(self.pool.tick())
        if self.pool.pipelined:
            self._tick_soon()

    def _look(self, link: Link) -> None:
        if link.pid in self._links and not link.ended:
            self._do(self.pool.looked(link.worker, link.begun_seq, self.loop.time()))

    # --- the end --------------------------------------------------------------------------------

    async def close(self, grace_s: float | None) -> list[str]:
        """Let calls in flight end, then kill; return the names of the calls that were killed."""
        self._draining = True
        try:
            async with asyncio.timeout(grace_s):
                await self._drained()
        except TimeoutError:
            pass
        finally:
            killed = await asyncio.shield(self.loop.create_task(self._end()))
        return killed

    def _refuse_waiting(self) -> None:
        for call in self.pool.drop_waiting():
            self._refuse(call)

    def _refuse(self, call: Call) -> None:
        call.state = "over"
        out: Outgoing = call.payload
        if not out.future.done():
            out.future.set_exception(
                LaneUnavailableError(f"{out.name} was not started: the process lane was closed")
            )

    async def _drained(self) -> None:
        while self.pool.in_flight:
            self._changed.clear()
            self._do(self.pool.dispatch())
            await self._changed.wait()

    async def _end(self) -> list[str]:
        killed = []
        self._ended = True
        self.pool.end()
        self._refuse_waiting()
        self._do(self.pool.close())
        for worker in self.pool.busy:
            link: Link = worker.handle
            link.killed_for = "killed because the runtime was left and its grace period was over"
            killed += [call.payload.name for call in worker.inbox]
            self._do(self.pool.doom(worker))
        for task in list(self._starting):
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                while self._links:
                    self._changed.clear()
                    await self._changed.wait()
        await self._launcher.close()
        for link in list(self._links.values()):
            self._conclude(link)
        self._upkeep.stop()
        if self._tick_timer is not None:
            self._tick_timer.cancel()
        self._sending.close()
        return killed
