"""The bookkeeping of a pool of workers: events in, instructions out, no clock and no I/O.

Who uses it tells what happened (a call came, a worker answered, one died) and does what it is told
(send these calls to that worker, kill that one). So every order of events can be tried in a test.

What it holds to:

* A call that may have begun is never sent again, unless it is idempotent. What has begun is known
  from the page that a worker shares with its parent (``begun_seq``), not guessed.
* Calls whose function is known to be short may wait in a busy worker's inbox behind others of that
  kind, which saves a round trip each. Whatever else comes waits here, where it costs nothing to move.
* What waits in an inbox behind a call that takes unexpectedly long is recalled and sent elsewhere.
* At most ``max_workers`` compute at once; one more is kept warm, so that a kill costs the next call
  nothing. At most ``max_starting`` are being started at once: more would come no sooner, and when many
  calls are stopped together, would take the cores that these are to leave.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

# A function is short when its calls take less than this on average: then a queue of them in a worker
# moves fast enough, and the round trip that is saved is worth the trouble.
SHORT_S = 0.000_2
# The work that may wait in one inbox, and its longest length.
HORIZON_S = 0.001
MAX_INBOX = 128
# What a worker spends on a call beside the function itself, for that sum.
_OVERHEAD_S = 0.000_008
# Weight of the newest run time in the average: joblib's batching has used it for a decade.
_NEWEST = 0.2
# An idempotent call is started at most so often.
_MAX_ATTEMPTS = 3
# A call that so many workers died before, one after another, is taken for the cause: they may not get as
# far as beginning it (what comes with it is too large for them). Chance alone does not do that.
_MAX_UNLUCKY = 5
# Functions whose run times are remembered.
_MAX_KNOWN = 4_096

CallState = Literal["new", "queued", "sent", "over"]
WorkerState = Literal["starting", "idle", "busy", "doomed", "leaving"]


@dataclass(slots=True, eq=False)
class Call:
    """One call. Owner: the pool, until it is over.

    Attributes:
        function: What its run time is remembered under.
        payload: The user's; never looked at.
        exclusive: Shares no inbox, whatever its function's run time.
        idempotent: May be started again after its worker died.
        load_s: What it adds to its worker's inbox, for as long as it is there.
        dropped: Nobody waits for it any more.
        spared: It may run to its end all the same.
        unlucky: Workers that died when this call was the next one for them to begin.
    """

    function: Hashable
    payload: Any = None
    exclusive: bool = False
    idempotent: bool = False
    state: CallState = "new"
    seq: int = 0
    attempts: int = 0
    load_s: float = 0.0
    dropped: bool = False
    spared: bool = False
    unlucky: int = 0
    worker: Worker | None = None


@dataclass(slots=True, eq=False)
class Worker:
    """One worker. Owner: the pool.

    Attributes:
        handle: The user's; never looked at.
        inbox: Calls that were sent and have not ended, in the order in which they run.
        alone: Never gets a second call before the first has ended: what it begins cannot be seen.
    """

    handle: Any = None
    state: WorkerState = "starting"
    inbox: deque[Call] = field(default_factory=deque)
    load_s: float = 0.0
    served: int = 0
    shares_inbox: bool = False
    recalling: bool = False
    recalled_seq: int = 0
    head_seen: int = 0
    idle_since_s: float = 0.0
    worn: bool = False
    alone: bool = False


class Send(NamedTuple):
    """Send these calls in one write."""

    worker: Worker
    calls: list[Call]


class Kill(NamedTuple):
    """Kill that worker and all that it started; then report its death."""

    worker: Worker


class Retire(NamedTuple):
    """Let that idle worker leave by itself."""

    worker: Worker


class Recall(NamedTuple):
    """Forbid that worker to begin calls up to ``seq``; a moment later, report what it has begun."""

    worker: Worker
    seq: int


class Start(NamedTuple):
    """Start so many workers."""

    workers: int


class Lost(NamedTuple):
    """That call was running in a worker that died."""

    call: Call
    worker: Worker


Instruction = Send | Kill | Retire | Recall | Start | Lost


class Pool:
    """See the module's text.

    Args:
        max_workers: At most so many compute at once.
        max_calls: A worker that served so many is replaced; None for no limit.
        max_starting: So many are started at once; None for no limit.

    Threads: none; one owner calls it.
    """

    def __init__(
        self, max_workers: int, *, max_calls: int | None = None, max_starting: int | None = None
    ) -> None:
        self.max_workers = max_workers
        self._max_starting = max_workers + 1 if max_starting is None else max_starting
        self._max_calls = max_calls
        self._queue: deque[Call] = deque()
        self._idle: list[Worker] = []  # the last one was used last and is taken first
        self._busy: dict[Worker, None] = {}
        self._due: list[Worker] = []  # leave as soon as somebody asks what to do
        self._starting = 0
        self._seq = 0
        self._known_s: dict[Hashable, float] = {}
        self._closing = False
        self._ended = False

    # --- what can be asked ----------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Calls that no worker has."""
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        """Calls that are not over, those that nobody waits for included."""
        return len(self._queue) + sum(len(worker.inbox) for worker in self._busy)

    @property
    def live(self) -> int:
        """Workers that are starting, idle or busy."""
        return self._starting + len(self._idle) + len(self._busy)

    @property
    def busy(self) -> tuple[Worker, ...]:
        """Workers that have calls."""
        return tuple(self._busy)

    @property
    def idle(self) -> tuple[Worker, ...]:
        """Workers that have none, the longest idle first."""
        return tuple(self._idle)

    @property
    def pipelined(self) -> bool:
        """Whether calls wait in some inbox behind another, so that ticks are needed."""
        return any(len(worker.inbox) > 1 or worker.recalling for worker in self._busy)

    def is_urgent(self, worker: Worker) -> bool:
        """Whether that worker is idle and a long call waits: nothing is gained by collecting more."""
        return bool(self._queue) and worker.state == "idle" and not self._is_short(self._queue[0])

    def run_time_s(self, function: Hashable) -> float | None:
        """Return the average run time of a function's calls, None where none has ended."""
        return self._known_s.get(function)

    @property
    def has_due(self) -> bool:
        """Whether workers wait to be retired."""
        return bool(self._due)

    # --- calls ----------------------------------------------------------------------------------

    def submit(self, call: Call) -> list[Instruction]:
        """A call came. Where it must wait, :meth:`dispatch` is to be called before long."""
        call.state = "queued"
        if not self._queue and self._idle and len(self._busy) < self.max_workers:
            worker = self._idle.pop()
            self._give(worker, call)
            send = Send(worker, [call])
            # Most calls pass here. With one more idle, or on its way, nobody is missing.
            return [send] if self._idle or self._starting else [send, *self.staff()]
        self._queue.append(call)
        # Under load most calls pass here, when all are there that there may be: this is ``live``.
        if self._starting + len(self._idle) + len(self._busy) > self.max_workers:
            return []
        return self.staff()

    def dispatch(self) -> list[Instruction]:
        """Hand out what waits, as far as there is room: one instruction for each worker."""
        instructions = self._retire_due()
        if not self._queue:
            return instructions
        takers = self._takers()
        for index, worker in enumerate(takers):
            calls = self._share_for(worker, -(-len(self._queue) // (len(takers) - index)))
            if calls:
                instructions.append(Send(worker, calls))
            elif worker.state == "busy" and not worker.inbox:
                self._rest(worker, worker.idle_since_s)
        return instructions + self.staff()

    def cancel(self, call: Call) -> list[Instruction]:
        """Nobody waits for that call any more: remove it, or stop it where it runs."""
        call.dropped = True
        if call.state == "queued":
            self._queue.remove(call)
            call.state = "over"
            return []
        worker = call.worker
        if call.state != "sent" or worker is None or worker.state != "busy":
            return []
        if len(worker.inbox) == 1:
            return self._doom(worker)
        return self._recall(worker)

    def abandon(self, call: Call) -> bool:
        """Nobody waits for that call, but it may go on; return whether it does."""
        call.dropped = call.spared = True
        if call.state == "queued":
            self._queue.remove(call)
            call.state = "over"
        return call.state == "sent"

    # --- workers --------------------------------------------------------------------------------

    def ready(self, worker: Worker, now_s: float) -> list[Instruction]:
        """A worker that was asked for is there."""
        self._starting -= 1
        self._rest(worker, now_s)
        # Without calls, dispatch() starts none; some may have had to wait for this one to be there.
        return self.dispatch() if self._queue else [*self.dispatch(), *self.staff()]

    def start_failed(self) -> None:
        """A worker that was asked for will not come."""
        self._starting -= 1

    def finished(self, worker: Worker, seq: int, run_time_s: float | None, now_s: float) -> Call:
        """A worker ended its oldest call; :meth:`dispatch` is to be called before long.

        ``run_time_s`` is None for a call that could not begin.

        Raises:
            LookupError: That is not its oldest call: what it says cannot be relied upon.
        """
        call = worker.inbox[0] if worker.inbox else None
        if call is None or call.seq != seq:
            raise LookupError(f"a worker answered call {seq}, which it does not have")
        worker.inbox.popleft()
        call.state = "over"
        if run_time_s is not None:
            self._learn(call.function, run_time_s)
        if worker.inbox:  # as _ended_in() does it, without one more call on the way of every call
            worker.load_s -= call.load_s
        elif worker.state == "busy":
            self._rest(worker, now_s)
        return call

    def skipped(self, worker: Worker, seq: int, now_s: float) -> list[Instruction]:
        """A worker saw the recall and did not begin that call."""
        for call in worker.inbox:
            if call.seq == seq:
                worker.inbox.remove(call)
                self._requeue([call])
                worker.served -= 1
                self._ended_in(worker, call, now_s)
                return self.dispatch()
        return []  # taken back already

    def looked(self, worker: Worker, begun_seq: int, now_s: float) -> list[Instruction]:
        """What a worker had begun, seen a moment after the recall was written.

        All that comes later in its inbox will never begin there.
        """
        worker.recalling = False
        if worker.state != "busy":
            return []
        back = [call for call in worker.inbox if begun_seq < call.seq <= worker.recalled_seq]
        for call in back:
            worker.inbox.remove(call)
        worker.served -= len(back)
        self._requeue(back)
        worker.shares_inbox = False
        doomed: list[Instruction] = []
        if not worker.inbox:
            self._rest(worker, now_s)
        elif any(
            call.seq == begun_seq and call.dropped and not call.spared for call in worker.inbox
        ):
            doomed = self._doom(worker)
        return [*doomed, *self.dispatch()]

    def tick(self) -> list[Instruction]:
        """Some milliseconds passed: recall what waits behind a call that has not ended since."""
        instructions: list[Instruction] = []
        for worker in self._busy:
            if len(worker.inbox) > 1 and not worker.recalling:
                head = worker.inbox[0].seq
                if worker.head_seen == head:
                    instructions += self._recall(worker)
                worker.head_seen = head
        return instructions

    def doom(self, worker: Worker) -> list[Instruction]:
        """That worker must go now, whatever it runs."""
        return self._doom(worker) if worker.state in ("idle", "busy") else []

    def wear(self, worker: Worker) -> list[Instruction]:
        """That worker is to be replaced when it has nothing to do."""
        worker.worn = True
        if worker.state == "idle":
            self._idle.remove(worker)
            worker.state = "leaving"
            return [Retire(worker), *self.staff()]
        return []

    def died(self, worker: Worker, begun_seq: int) -> list[Instruction]:
        """A worker is gone, and what it had sent was read to the end."""
        if worker.state == "idle":
            self._idle.remove(worker)
        self._busy.pop(worker, None)
        worker.state = "doomed"
        instructions: list[Instruction] = []
        again: list[Call] = []
        if worker.inbox and worker.inbox[0].seq > begun_seq and not worker.recalling:
            worker.inbox[0].unlucky += 1
        for call in worker.inbox:
            begun = call.seq <= begun_seq
            if call.dropped:
                call.state = "over"
            elif (
                begun and not (call.idempotent and call.attempts < _MAX_ATTEMPTS)
            ) or call.unlucky >= _MAX_UNLUCKY:
                call.state = "over"
                instructions.append(Lost(call, worker))
            else:
                again.append(call)
        worker.inbox.clear()
        self._requeue(again)
        return [*instructions, *self.dispatch(), *self.staff()]

    def age(self, before_s: float) -> list[Instruction]:
        """Retire workers that have been idle since before that moment; one stays warm."""
        instructions: list[Instruction] = []
        while len(self._idle) > 1 and self._idle[0].idle_since_s < before_s:
            worker = self._idle.pop(0)
            worker.state = "leaving"
            instructions.append(Retire(worker))
        return instructions

    # --- lifetime -------------------------------------------------------------------------------

    def open(self) -> list[Instruction]:
        """Start every worker that is missing and the spare one."""
        self._closing = False
        return self._start(self.max_workers + 1)

    def close(self) -> list[Instruction]:
        """Take no more workers; idle ones leave. What is in flight goes on."""
        self._closing = True
        leaving = [worker for worker in self._idle if not self._queue]
        for worker in leaving:
            self._idle.remove(worker)
            worker.state = "leaving"
        return [Retire(worker) for worker in leaving]

    def end(self) -> None:
        """Start no worker any more, whatever waits."""
        self._closing = self._ended = True

    def drop_waiting(self) -> list[Call]:
        """Return every call that no worker has; they are over."""
        calls = list(self._queue)
        self._queue.clear()
        for call in calls:
            call.state = "over"
        return calls

    # --- inside ---------------------------------------------------------------------------------

    def _takers(self) -> list[Worker]:
        """Workers that may get what waits: idle ones first, then those whose inbox has room."""
        free = min(len(self._idle), self.max_workers - len(self._busy), len(self._queue))
        takers = []
        for _ in range(free):
            worker = self._idle.pop()
            worker.state = "busy"
            takers.append(worker)
        if self._is_short(self._queue[0]):
            sharing = [worker for worker in self._busy if self._has_room(worker)]
            takers += sorted(sharing, key=_load)
        for worker in takers:
            self._busy[worker] = None
        return takers

    def _share_for(self, worker: Worker, fair: int) -> list[Call]:
        calls: list[Call] = []
        queue, most = self._queue, self._max_calls
        while queue and len(calls) < fair:
            call = queue[0]
            if worker.inbox and not (self._has_room(worker) and self._is_short(call)):
                break
            if most is not None and worker.served >= most:
                break
            self._give(worker, queue.popleft())
            calls.append(call)
        return calls

    def _give(self, worker: Worker, call: Call) -> None:
        self._seq += 1
        call.seq = self._seq
        call.state = "sent"
        call.worker = worker
        call.attempts += 1
        known_s = self._known_s.get(call.function)
        if known_s is None or known_s >= SHORT_S or call.exclusive or worker.alone:
            worker.shares_inbox = False
        elif not worker.inbox:
            worker.shares_inbox = True
        call.load_s = _OVERHEAD_S + (SHORT_S if known_s is None else known_s)
        worker.load_s += call.load_s
        worker.inbox.append(call)
        worker.served += 1
        worker.state = "busy"
        self._busy[worker] = None

    def _is_short(self, call: Call) -> bool:
        known_s = self._known_s.get(call.function)
        return known_s is not None and known_s < SHORT_S and not call.exclusive

    def _has_room(self, worker: Worker) -> bool:
        return (
            worker.shares_inbox
            and not worker.recalling
            and worker.load_s < HORIZON_S
            and len(worker.inbox) < MAX_INBOX
        )

    def _ended_in(self, worker: Worker, call: Call, now_s: float) -> None:
        if worker.inbox:
            worker.load_s -= call.load_s
        elif worker.state == "busy":
            self._rest(worker, now_s)

    def _rest(self, worker: Worker, now_s: float) -> None:
        """A worker has nothing to do."""
        self._busy.pop(worker, None)
        worker.state = "idle"
        worker.load_s = 0.0
        worker.shares_inbox = False
        worker.idle_since_s = now_s
        if worker.worn or (self._max_calls is not None and worker.served >= self._max_calls):
            worker.state = "leaving"
            self._due.append(worker)
        else:
            self._idle.append(worker)

    def _retire_due(self) -> list[Instruction]:
        if not self._due:
            return []
        due, self._due = self._due, []
        return [*(Retire(worker) for worker in due), *self.staff()]

    def _doom(self, worker: Worker) -> list[Instruction]:
        if worker.state == "idle":
            self._idle.remove(worker)
        self._busy.pop(worker, None)
        worker.state = "doomed"
        # No replacement yet: of many calls that are cancelled together the first ones would start workers
        # for those that are about to be cancelled too. Its death, or the next dispatch, asks for one.
        return [Kill(worker)]

    def _recall(self, worker: Worker) -> list[Instruction]:
        if worker.recalling:
            return []
        worker.recalling = True
        worker.recalled_seq = worker.inbox[-1].seq
        return [Recall(worker, worker.recalled_seq)]

    def _requeue(self, calls: Iterable[Call]) -> None:
        """Put calls that have not begun back in front, in their order."""
        for call in reversed(list(calls)):
            call.worker = None
            if call.dropped:
                call.state = "over"
            else:
                call.state = "queued"
                self._queue.appendleft(call)

    def _learn(self, function: Hashable, run_time_s: float) -> None:
        known_s = self._known_s.get(function)
        if known_s is None:
            if len(self._known_s) >= _MAX_KNOWN:
                self._known_s.clear()
            self._known_s[function] = run_time_s
        else:
            self._known_s[function] = known_s + _NEWEST * (run_time_s - known_s)

    def staff(self) -> list[Instruction]:
        """Ask for as many workers as calls could use, and a spare one."""
        if self._ended or (self._closing and not self._queue):
            return []
        return self._start(
            min(self.max_workers, len(self._busy) + len(self._queue)) + (not self._closing)
        )

    def _start(self, needed: int) -> list[Instruction]:
        missing = min(needed - self.live, self._max_starting - self._starting)
        if missing <= 0:
            return []
        self._starting += missing
        return [Start(missing)]


def _load(worker: Worker) -> float:
    return worker.load_s
