"""One call on its way: where it goes, whether it is let in, what became of it."""

from __future__ import annotations

import asyncio
import itertools
import time
import warnings
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from typing import Any

from lanewise.errors import LaneUnavailableError, NotPortableError, OverloadedError
from lanewise.host.facts import gil_enabled
from lanewise.lanes.cluster import ClusterStatistics
from lanewise.lanes.event_loop import EventLoopLane
from lanewise.lanes.process import ProcessLane, WorkerStatistics
from lanewise.model.lane import (
    SHARING_MEMORY,
    CallReport,
    GoesOn,
    Lane,
    LaneName,
    Terms,
    abandoned_call,
)
from lanewise.model.task import Task
from lanewise.runtime.admission import Door, Rerouted
from lanewise.runtime.calls import local_arguments, until
from lanewise.runtime.decision import Decision
from lanewise.runtime.effects_watch import EffectsWatch
from lanewise.runtime.lifetime import CallOptions, close_all
from lanewise.runtime.lock_watch import LockWatch
from lanewise.runtime.loop_watch import LoopWatch
from lanewise.runtime.passage import by_clock, counted, how_cancelled, parts_of, vacate_when_over
from lanewise.runtime.routing import STOPPABLE, Router
from lanewise.runtime.statistics import CallCounts, RuntimeStatistics, summed
from lanewise.runtime.switch_interval import SwitchInterval
from lanewise.runtime.tally import Outcome, Tally, Track
from lanewise.runtime.waiting_room import Ticket

# Calls after which it is looked up again how long they take, less one; a power of two.
_ASK_AGAIN = 15
# How calls end that say how long such calls take.
_RAN = ("done", "failed")
# The switch interval stays short for so long after the last call that wants it so.
_LINGER_S = 0.05
# So often a call that waits may be sent elsewhere.
_MAX_MOVES = 3
# Corrections that a snapshot tells.
_MAX_CORRECTIONS = 100


class Dispatcher:
    """What an entered runtime does with calls. Owner: its event loop.

    Args:
        lanes: Those that are open.
        router: Decides.
        tally: Counts.
        doors: Of lanes with a bounded number of places, by their names, and those that decisions name.
        effects: Looks at what calls change; None where that is not wanted.
    """

    def __init__(
        self,
        lanes: dict[LaneName, Lane],
        router: Router,
        tally: Tally,
        doors: Mapping[str, Door],
        effects: EffectsWatch | None = None,
    ) -> None:
        self.lanes = lanes
        self.router = router
        self.tally = tally
        self.doors = doors
        self._effects = effects
        self.watch: LoopWatch | None = None
        # Short while threads run: where they hold the lock, the loop would wait as long; where they do
        # not, each of them would wait as long for a busy loop before it can go on.
        self._switch_interval = SwitchInterval(
            lambda put_back: asyncio.get_running_loop().call_later(_LINGER_S, put_back)
        )
        self._lock_watch = LockWatch(self._lock_changed)
        loop_lane, process_lane = lanes.get("event_loop"), lanes.get("process")
        self._loop_lane = loop_lane if isinstance(loop_lane, EventLoopLane) else None
        self._process_lane = process_lane if isinstance(process_lane, ProcessLane) else None

    # --- lifetime -------------------------------------------------------------------------------

    def start(self, stall_s: float | None) -> None:
        """Watch the loop, for stalls of that length if any, and the lock."""
        loop = asyncio.get_running_loop()
        if stall_s is not None:
            self.watch = LoopWatch(stall_s=stall_s)
            self.watch.start(loop)
        self._lock_watch.start(loop)

    async def close(self, grace_s: float | None) -> None:
        """Let calls in flight end, and those that wait get their turn; then end every lane."""
        try:
            await close_all(self.lanes, grace_s, self.doors.values())
        finally:
            self._lock_watch.stop()
            self._switch_interval.release()
            if self.watch is not None:
                self.watch.stop()

    # --- calls ----------------------------------------------------------------------------------

    def here(self, decision: Decision) -> EventLoopLane | None:
        """Return the loop's own lane if such a call runs there at once, and awaits nothing."""
        lane = self._loop_lane
        if decision.lane != "event_loop" or lane is None or lane.is_due:
            return None
        seen = decision.seen
        if seen is None or (seen.is_settled and not seen.watching):
            return lane
        return lane if self.router.watched(decision) is None else None

    async def call(  # noqa: C901, PLR0913 - because: one call and where it goes
        self,
        task: Task[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms,
        options: CallOptions,
        decision: Decision | None = None,
    ) -> Any:
        """Run one call; every call that awaits something passes here, so this is short.

        Raises:
            OverloadedError: Its lane has no room for it.
            LaneUnavailableError: No lane may run it.
        """
        moves = _MAX_MOVES
        while True:
            if decision is None:
                decision = self.decide(task, args, kwargs, terms, options)
            watched = None if decision.seen is None else self.router.watched(decision)
            if watched is None and decision.lane == "event_loop" and self._loop_lane is not None:
                if self._loop_lane.is_due:
                    await self._turn(self._loop_lane, self._track(task, decision))
                return self.call_here(self._loop_lane, task, decision, args, kwargs, terms)
            if decision.spill is not None and self._spills(decision, decision.spill):
                decision = decision.spill
            try:
                if watched is not None:
                    return await self._watched(
                        task, watched, args, kwargs, terms, options, may_move=moves > 0
                    )
                return await self._admitted(
                    task, decision, args, kwargs, terms, options, may_move=moves > 0
                )
            except NotPortableError as error:
                decision = watched or decision
                return await self._elsewhere(task, decision, args, kwargs, terms, options, error)
            except LaneUnavailableError as error:  # the cluster has gone before the call began
                if not error.withdrawn or moves <= 0 or "cluster" in (options.lane, task.lane):
                    raise
                moves -= 1
                decision = replace(self.decide(task, args, kwargs, terms, options), spill=None)
            except Rerouted:  # while it waited something was learned that may have it go elsewhere
                moves -= 1
                decision = None

    async def _elsewhere(  # noqa: PLR0913 - because: one call and where it goes
        self,
        task: Task[..., Any],
        decision: Decision,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms,
        options: CallOptions,
        error: NotPortableError,
    ) -> Any:
        """Run a call that could not get where it was to go: from an interpreter it may take two steps."""
        if decision.lane in SHARING_MEMORY:
            raise error  # the function's own: it has run
        fallback = self._fallback(task, decision, options, error)
        try:
            return await self._admitted(task, fallback, args, kwargs, terms, options)
        except NotPortableError as again:
            if fallback.lane in SHARING_MEMORY:
                raise
            fallback = self._fallback(task, fallback, options, again)
        return await self._admitted(task, fallback, args, kwargs, terms, options)

    @staticmethod
    async def _turn(lane: EventLoopLane, track: Track) -> None:
        track.waiting += 1
        # In flight, or the loop's lane would look as if it had one caller however many wait for it, and
        # keep calls that another lane could run side by side.
        track.load.in_flight += 1
        try:
            await lane.turn()
        except asyncio.CancelledError:
            track.cancelled += 1
            raise
        finally:
            track.waiting -= 1
            track.load.in_flight -= 1

    async def _watched(  # noqa: PLR0913 - because: one call and where it goes
        self,
        task: Task[..., Any],
        decision: Decision,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms,
        options: CallOptions,
        *,
        may_move: bool = False,
    ) -> Any:
        """Run a call that tells what it costs; one at a time of each kind."""
        assert decision.seen is not None
        decision.seen.watching += 1
        try:
            terms = terms.reporting_to(CallReport(watch=True))
            return await self._admitted(
                task, decision, args, kwargs, terms, options, may_move=may_move
            )
        finally:
            decision.seen.watching -= 1

    def _spills(self, decision: Decision, other: Decision) -> bool:
        full = self.doors.get(decision.door or decision.lane)
        free = self.doors.get(other.door or other.lane)
        if full is None or free is None:
            return False
        return not full.room.has_room and free.room.has_room

    async def chunk(
        self, task: Task[..., Any], items: list[Any], terms: Terms, options: CallOptions
    ) -> tuple[list[Any], float | None] | None:
        """Run some items as one call; None where their lane cannot do that."""
        decision = self.decide(task, (items[0],), {}, terms, options)
        lane: Any = self.lanes[decision.lane]
        if not hasattr(lane, "run_chunk"):
            return None
        track = self._track(task, decision)
        ticket = await self._enter(track, task, decision, terms, options, len(items))
        try:
            running = lane.run_chunk(task.reference, decision.variant, items, terms)
            ran: tuple[list[Any], float | None] = await counted(track, running, len(items))
            return ran
        finally:
            self._leave(decision, ticket)

    async def stream(  # noqa: PLR0913 - because: one stream and its terms
        self,
        task: Task[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms,
        options: CallOptions,
        timeout_s: float | None,
    ) -> AsyncGenerator[Any, None]:
        """Run a generator function and yield its items."""
        decision = self.decide(task, args, kwargs, terms, options)
        if decision.lane in SHARING_MEMORY:
            args, kwargs = local_arguments(args, kwargs)
        track = self._track(task, decision)
        ticket = await self._enter(track, task, decision, terms, options)
        started, outcome = time.perf_counter(), "cancelled"
        track.begin()
        try:
            lane = self.lanes[decision.lane]
            items = lane.stream(task.reference, decision.variant, args, kwargs, terms)
            try:
                async for item in until(items, terms.deadline, task.name, timeout_s):
                    yield item
                outcome = "done"
            except Exception:
                outcome = "failed"
                raise
            finally:
                await items.aclose()
        finally:
            track.end(outcome, time.perf_counter() - started)  # type: ignore[arg-type]  # because: one of Outcome's words
            self._leave(decision, ticket)

    def decide(
        self,
        task: Task[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms,
        options: CallOptions,
    ) -> Decision:
        """Decide where a call goes.

        Raises:
            LaneUnavailableError: No lane may run it.
        """
        load = self.tally.loads.get(task.name)
        level = 1 if load is None else load.in_flight + 1
        pinned = options.lane
        if terms.on_cancel == "kill" and pinned is None:
            pinned = task.lane or "process"
            if pinned not in STOPPABLE:
                raise LaneUnavailableError(
                    f"on_cancel='kill' needs a lane that can stop a running call, and {task.name} is "
                    f"pinned to {pinned}",
                    reasons={pinned: "a running call cannot be stopped there"},
                )
        left_s = None if terms.deadline is None else terms.deadline - time.monotonic()
        return self.router.decide(task, args, kwargs, level, pinned, left_s)

    def snapshot(
        self,
        workers: WorkerStatistics | None,
        places: dict[LaneName, int],
        cluster: ClusterStatistics | None = None,
    ) -> RuntimeStatistics:
        """Return an immutable copy of all counts."""
        tally, calls = self.tally, self.tally.per_call()
        lanes: dict[LaneName, list[CallCounts]] = {}
        tasks: dict[str, list[CallCounts]] = {}
        for (task, lane), counts in calls.items():
            lanes.setdefault(lane, []).append(counts)
            tasks.setdefault(task, []).append(counts)
        return RuntimeStatistics(
            lanes={name: summed(rows) for name, rows in lanes.items()},
            waiting=sum(door.room.waiting for door in self.doors.values()),
            shed=tally.shed.total(),
            routes={key: track.admitted for key, track in tally.tracks.items()},
            fallbacks=dict(tally.fallbacks),
            workers=workers,
            tasks={name: summed(rows) for name, rows in tasks.items()},
            calls=calls,
            shed_by_reason=dict(tally.shed),
            reasons={key: track.reason for key, track in tally.tracks.items()},
            corrections=tuple(itertools.islice(self.router.corrections(), _MAX_CORRECTIONS)),
            places=places,
            loop=None if self.watch is None else self.watch.statistics(),
            gil_enabled=gil_enabled(),
            contended=self.router.contended(),
            cluster=cluster,
        )

    # --- one lane -------------------------------------------------------------------------------

    def call_here(  # noqa: PLR0913 - because: one call and where it goes
        self,
        lane: EventLoopLane,
        task: Task[..., Any],
        decision: Decision,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms,
    ) -> Any:
        """Run a call on the loop, which awaits nothing: it begins and ends between two looks at it."""
        args, kwargs = local_arguments(args, kwargs)
        track = self._track(task, decision)
        try:
            function = None if self._effects is None else self._function(task, decision)
            if function is None:
                function = task.implementation(decision.variant)
            lane.last_s = 0.0
            result = lane.call_now(function, args, kwargs, terms)
        except BaseException:
            track.failed += 1
            raise
        finally:
            track.busy_s += lane.last_s
            seen = decision.seen
            if seen is not None:
                self.router.saw_here(seen, decision.known, lane.last_s)
        track.done += 1
        return result

    async def _admitted(  # noqa: C901, PLR0912, PLR0913, PLR0915 - because: one call and where it goes, which each pays for
        self,
        task: Task[..., Any],
        decision: Decision,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms,
        options: CallOptions,
        *,
        may_move: bool = False,
    ) -> Any:
        lane_name = decision.lane
        if lane_name in SHARING_MEMORY:
            args, kwargs = local_arguments(args, kwargs)
        track = self._track(task, decision)
        door, parts, work_s = self.doors.get(decision.door or lane_name), 0, 0.0
        if door is not None:
            expected_s = decision.expected_s
            if expected_s is None and lane_name == "process":
                expected_s = self._expected_s(track, task, decision)
            parts = parts_of(lane_name, expected_s)
            admitted = door.room.admit(parts, expected_s)
            if admitted is None:
                now_s = door.now_s()
                ticket = Ticket(
                    task.name,
                    now_s,
                    options.priority or task.priority,
                    parts,
                    expected_s,
                    by_clock(terms.deadline, now_s),
                    may_move=may_move,
                )
                await self._wait(door, ticket, track)
                admitted = ticket.work_s
            work_s = admitted
        track.begin()
        contends = lane_name == "thread"
        if contends:
            self._switch_interval.enter()
        seen, report = decision.seen, terms.report
        if seen is not None and report is None and seen.wants_report(lane_name):
            report = CallReport(queue=contends and seen.asks_for_the_queue)
            terms = terms.reporting_to(report)
        at_once = track.running
        if seen is not None and not seen.is_calm and (report is None or not report.watch):
            at_once = 0  # beside a call that is watched others wait for its worker: it says nothing
        started = time.perf_counter()
        outcome: Outcome = "failed"
        goes_on: GoesOn | None = None
        try:
            function = None if self._effects is None else self._function(task, decision)
            # Not by way of counted(), whose coroutine every call would pay for.
            result = await self.lanes[lane_name].run(
                function or task.reference, decision.variant, args, kwargs, terms
            )
            outcome = "done"
            if seen is not None:
                latency_s = time.perf_counter() - started
                if self.router.saw(decision, report, at_once, latency_s, track.running):
                    self._reroute(task.name)
            return result
        except asyncio.CancelledError as cancelled:
            outcome, goes_on = how_cancelled(cancelled), abandoned_call(cancelled)
            raise
        finally:
            busy_s = time.perf_counter() - started
            track.end(outcome, busy_s)
            if contends:
                self._switch_interval.leave()
            if door is None:
                pass
            elif goes_on is not None:
                vacate_when_over(door, parts, work_s, goes_on)
            else:
                door.vacate(parts, work_s, busy_s if outcome in _RAN else None)

    def _function(self, task: Task[..., Any], decision: Decision) -> Callable[..., Any] | None:
        """What runs in the task's place, if anything does."""
        if self._effects is None:
            return None
        return self._effects.watched(task, decision.variant, decision.lane)

    async def _enter(  # noqa: PLR0913 - because: some calls and who they belong to
        self,
        track: Track,
        task: Task[..., Any],
        decision: Decision,
        terms: Terms,
        options: CallOptions,
        calls: int = 1,
    ) -> Ticket | None:
        """Let in what is more than one call, or lasts: a chunk, a stream."""
        door = self.doors.get(decision.door or decision.lane)
        if door is None:
            return None
        priority = options.priority or task.priority
        now_s = door.now_s()
        deadline_s = by_clock(terms.deadline, now_s)
        ticket = Ticket(task.name, now_s, priority, deadline_s=deadline_s)
        await self._wait(door, ticket, track, calls)
        return ticket

    async def _wait(self, door: Door, ticket: Ticket, track: Track, calls: int = 1) -> None:
        track.waiting += calls
        try:
            await door.enter(ticket)
        except OverloadedError as refused:
            track.shed += calls
            self.tally.shed[refused.reason] += calls  # type: ignore[index]  # because: one of its words
            raise
        except asyncio.CancelledError:
            track.cancelled += calls
            raise
        except Rerouted:  # it is counted where it goes
            raise
        except BaseException:
            track.failed += calls
            raise
        finally:
            track.waiting -= calls
        track.wait_s += max(0.0, door.now_s() - ticket.arrived_s)

    def _leave(self, decision: Decision, ticket: Ticket | None, *, counts: bool = True) -> None:
        if ticket is not None:
            self.doors[decision.door or decision.lane].leave(ticket, counts=counts)

    def _lock_changed(self, gil_enabled: bool) -> None:  # noqa: FBT001 - because: a fact, not a switch
        self.router.lock_changed(gil_enabled=gil_enabled)
        for name in self.tally.loads:
            self._reroute(name)

    def _reroute(self, name: str) -> None:
        """What is known of a task has changed: those of its calls that wait ask again where to go."""
        for door in self.doors.values():
            if door.room.waiting:
                door.reroute(name)

    def _expected_s(self, track: Track, task: Task[..., Any], decision: Decision) -> float | None:
        """How long a call in a process is expected to take of which no decision knows it."""
        # Now and then, for it changes slowly and every call pays.
        if self._process_lane is not None and not track.done & _ASK_AGAIN:
            track.expected_s = self._process_lane.run_time_s(task.reference, decision.variant)
        return track.expected_s

    def _track(self, task: Task[..., Any], decision: Decision) -> Track:
        tally, key = self.tally, (task.name, decision.lane, decision.variant)
        track = tally.tracks.get(key) or tally.track(*key)
        track.reason = decision.reason
        return track

    def _fallback(
        self,
        task: Task[..., Any],
        decision: Decision,
        options: CallOptions,
        error: NotPortableError,
    ) -> Decision:
        """What cannot cross runs on a thread, or in a process if not elsewhere; it is told once.

        A process takes what an interpreter refused, or a node that has another module than this machine.
        Not when the caller insisted on that lane, and never when the call has run already.
        """
        isolated = task.isolation == "required"
        beyond_processes = decision.lane in ("interpreter", "cluster")
        if beyond_processes and "process" in self.lanes:
            other: LaneName = "process"
        else:
            other = "thread"
        insisted = (
            error.started
            or (isolated and other == "thread")
            or decision.lane in (options.lane, task.lane)
            or options.on_cancel == "kill"
        )
        if insisted or other not in self.lanes:
            raise error
        if decision.known is not None:
            if beyond_processes:
                decision.known.could_not_enter(decision.variant, decision.lane)
            else:
                decision.known.could_not_cross(str(error))
        if self.tally.fell_back(task.name, str(error)):
            warnings.warn(f"{task.name} runs on the {other} lane instead: {error}", stacklevel=2)
        why = f"it cannot cross to {_a(decision.lane)}"
        return replace(decision, lane=other, door=None, reason=why)


def _a(lane: LaneName) -> str:
    return {"interpreter": "an interpreter", "cluster": "the cluster"}.get(lane, f"a {lane}")
