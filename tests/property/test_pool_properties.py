"""The pool's bookkeeping under any order of events: what it promises holds after each of them."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from lanewise.lanes.process.pool import (
    MAX_INBOX,
    SHORT_S,
    Call,
    Kill,
    Lost,
    Pool,
    Recall,
    Retire,
    Send,
    Start,
    Worker,
)

FUNCTIONS = ("short", "long", "unknown")


class Far:
    """A worker as it really is: what has arrived, what it began, whether it lives."""

    def __init__(self):
        self.arrived = []
        self.begun_seq = 0
        self.running = None
        self.recalled_seq = 0
        self.alive = True
        self.told_to_leave = False
        self.killed = False


class PoolMachine(RuleBasedStateMachine):
    calls = Bundle("calls")

    @initialize(
        workers=st.integers(1, 4),
        max_calls=st.none() | st.integers(1, 6),
        max_starting=st.none() | st.integers(1, 2),
    )
    def begin(self, workers, max_calls, max_starting):
        self.pool = Pool(workers, max_calls=max_calls, max_starting=max_starting)
        self.max_workers, self.max_calls = workers, max_calls
        self.max_starting = max_starting or workers + 1
        self.far = {}  # worker -> Far
        self.to_start = 0
        self.now = 0.0
        self.started = {}  # call -> how often it began
        self.outcome = {}  # call -> how it ended
        self.all = []
        self.looks = []
        self.do(self.pool.open())

    def do(self, instructions):
        for one in instructions:
            if isinstance(one, Start):
                self.to_start += one.workers
                assert self.to_start <= self.max_starting
            elif isinstance(one, Send):
                far = self.far[one.worker]
                assert (far.alive, far.killed, far.told_to_leave) == (True, False, False)
                assert one.calls
                assert len(one.worker.inbox) == 1 or all(
                    not call.exclusive for call in one.worker.inbox
                )
                far.arrived += [(call.seq, call) for call in one.calls]
            elif isinstance(one, Kill):
                self.far[one.worker].killed = True
            elif isinstance(one, Recall):
                self.far[one.worker].recalled_seq = one.seq
                self.looks.append(one.worker)
            elif isinstance(one, Retire):
                assert not one.worker.inbox
                self.far[one.worker].told_to_leave = True
            elif isinstance(one, Lost):
                assert one.call not in self.outcome
                self.outcome[one.call] = "lost"

    # --- what happens -----------------------------------------------------------------------------

    @rule(
        target=calls,
        function=st.sampled_from(FUNCTIONS),
        idempotent=st.booleans(),
        exclusive=st.booleans(),
    )
    def submit(self, function, idempotent, exclusive):
        call = Call(function, None, exclusive, idempotent)
        self.all.append(call)
        self.do(self.pool.submit(call))
        return call

    @rule()
    def dispatch(self):
        self.do(self.pool.dispatch())

    @precondition(lambda self: self.to_start)
    @rule()
    def worker_starts(self):
        worker = Worker()
        self.far[worker] = Far()
        self.to_start -= 1
        self.do(self.pool.ready(worker, self.now))

    @precondition(lambda self: self.to_start)
    @rule()
    def start_fails(self):
        self.to_start -= 1
        self.pool.start_failed()
        self.do(self.pool.staff())

    def some(self, data, test):
        found = [worker for worker, far in self.far.items() if far.alive and test(far)]
        return data.draw(st.sampled_from(found)) if found else None

    @rule(data=st.data())
    def worker_begins(self, data):
        worker = self.some(data, lambda far: far.running is None and far.arrived)
        if worker is None:
            return
        far = self.far[worker]
        seq, call = far.arrived.pop(0)
        if seq <= far.recalled_seq:
            self.do(self.pool.skipped(worker, seq, self.now))
            return
        far.begun_seq = seq
        far.running = seq, call
        self.started[call] = self.started.get(call, 0) + 1
        # A kill or a recall may come a moment too late, but then nobody waits for the call.
        assert self.outcome.get(call) in (None, "cancelled", "abandoned"), "began after it was over"

    @rule(data=st.data())
    def worker_ends_a_call(self, data):
        worker = self.some(data, lambda far: far.running is not None)
        if worker is None:
            return
        far = self.far[worker]
        seq, call = far.running
        far.running = None
        took = SHORT_S / 10 if call.function == "short" else 1.0
        ended = self.pool.finished(
            worker, seq, None if call.function == "unknown" else took, self.now
        )
        assert ended is call
        if not call.dropped:
            assert call not in self.outcome
            self.outcome[call] = "done"
        self.do(self.pool.dispatch())

    @rule(data=st.data())
    def worker_dies(self, data):
        worker = self.some(data, lambda far: True)
        if worker is not None:
            self.die(worker)

    @rule(data=st.data())
    def killed_worker_dies(self, data):
        worker = self.some(data, lambda far: far.killed or far.told_to_leave)
        if worker is not None:
            self.die(worker)

    def die(self, worker):
        far = self.far[worker]
        far.alive = False
        self.do(self.pool.died(worker, far.begun_seq))
        del self.far[worker]

    @precondition(lambda self: self.looks)
    @rule()
    def look(self):
        worker = self.looks.pop(0)
        if worker in self.far:
            self.do(self.pool.looked(worker, self.far[worker].begun_seq, self.now))

    @rule(call=consumes(calls))
    def cancel(self, call):
        if call in self.outcome:
            return
        begun_before = self.started.get(call, 0)
        self.do(self.pool.cancel(call))
        self.outcome[call] = "cancelled"
        if call.state == "over":
            assert begun_before == 0 or call.idempotent

    @rule(call=consumes(calls))
    def abandon(self, call):
        if call in self.outcome:
            return
        self.pool.abandon(call)
        self.outcome[call] = "abandoned"

    @rule()
    def tick(self):
        self.do(self.pool.tick())

    @rule(later=st.floats(0, 100))
    def time_passes(self, later):
        self.now += later
        self.do(self.pool.age(self.now - 50))

    @rule(data=st.data())
    def wear(self, data):
        worker = self.some(data, lambda far: not far.killed and not far.told_to_leave)
        if worker is not None:
            self.do(self.pool.wear(worker))

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def nothing_begins_twice(self):
        for call, times in self.started.items():
            assert times == 1 or call.idempotent

    @invariant()
    def no_more_compute_than_may(self):
        assert len(self.pool.busy) <= self.max_workers
        assert self.pool.live <= self.max_workers + 1

    @invariant()
    def every_call_is_somewhere_once(self):
        queued = list(self.pool._queue)
        inboxes = [call for worker in self.pool.busy for call in worker.inbox]
        doomed = [
            call
            for worker, far in self.far.items()
            if worker.state == "doomed"
            for call in worker.inbox
        ]
        places = queued + inboxes + doomed
        assert len(places) == len({id(call) for call in places})
        for call in self.all:
            if call not in self.outcome:
                assert any(call is one for one in places), "a call was lost"

    @invariant()
    def inboxes_are_bounded_and_used_up_workers_leave(self):
        for worker in self.pool.busy:
            assert 0 < len(worker.inbox) <= MAX_INBOX
            if self.max_calls is not None:
                assert worker.served <= self.max_calls

    @invariant()
    def whoever_waits_has_somebody_to_wait_for(self):
        if self.pool.waiting and not self.pool.busy and not self.to_start:
            assert self.pool.idle, "calls wait and nobody will come"

    def teardown(self):
        """However it went: when workers go on working, every call comes to an end."""
        if not hasattr(self, "pool"):
            return
        for _ in range(4_000):
            if all(call in self.outcome for call in self.all):
                break
            self.do(self.pool.dispatch())
            for _ in range(self.to_start):
                self.worker_starts()
            for worker, far in list(self.far.items()):
                if far.killed or far.told_to_leave:
                    self.die(worker)
                elif far.running is None and far.arrived:
                    self._begin_one(worker)
                elif far.running is not None:
                    self._end_one(worker)
            while self.looks:
                self.look()
        left = [call for call in self.all if call not in self.outcome]
        assert not left, f"{len(left)} calls never end"

    def _begin_one(self, worker):
        far = self.far[worker]
        seq, call = far.arrived.pop(0)
        if seq <= far.recalled_seq:
            self.do(self.pool.skipped(worker, seq, self.now))
        else:
            far.begun_seq = seq
            far.running = seq, call

    def _end_one(self, worker):
        far = self.far[worker]
        seq, call = far.running
        far.running = None
        self.pool.finished(worker, seq, 1.0, self.now)
        self.outcome.setdefault(call, "done")
        self.do(self.pool.dispatch())


PoolMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestPool = PoolMachine.TestCase
